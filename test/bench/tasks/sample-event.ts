/** The event that every append of the bench stores, ours and the peers': 206 bytes of JSON. */
export function sampleData(index: number) {
  return {
    sku: `sku-${String(index % 10_000).padStart(6, '0')}`,
    quantity: 1 + (index % 7),
    totalCents: 1_250 * (1 + (index % 7)),
    customer: `customer-${String(index % 100_000).padStart(7, '0')}`,
    note: 'Sold at the counter; the customer asked for a gift wrap and a receipt with the name on it.',
  }
}

export const SAMPLE_TYPE = 'inventory-item-sold'

/** What comes with it, as a command over HTTP leaves it. */
export const SAMPLE_METADATA = {
  commandId: '01890a5d-ac96-774b-bcce-b302099a8057',
  correlationId: '01890a5d-ac96-774b-bcce-b302099a8057',
}

/**
 * The stream of the n-th event: all of `streams` in turn, in an order without locality, so that one that is
 * taken comes again only after all the others.
 */
export function sampleStream(n: number, streams: number): string {
  return `inventory-item-${(n * 7_919) % streams}`
}
