import { z } from 'zod'

/**
 * A stock keeping unit: 1 to 100 characters of any script, without control characters and without blanks at the ends.
 * It is normalised to NFC, so that two Unicode spellings of the same characters are the same SKU.
 */
export const sku = z
  .string()
  .min(1)
  .max(100)
  .normalize('NFC')
  .regex(
    /^[^\p{C}\s]([^\p{C}]*[^\p{C}\s])?$/u,
    'must not contain control characters, or begin or end with a blank',
  )

/** Units in one command or event: 1 to 1,000,000. */
export const quantity = z.int().min(1).max(1_000_000)

/** Money as whole cents, never a fraction: 0 to 100,000,000,000. */
export const cents = z.int().min(0).max(100_000_000_000)

/** A short line of text for people. */
export const line = z.string().trim().min(1).max(200)
