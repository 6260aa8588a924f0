import { count, dollars, type Screen } from './screen.ts'
import type { Views } from './views.ts'

/** Differences that are shown; the rest is counted. */
const SHOWN = 20

/** Width of a product's name, in characters. */
const NAME = 46

/** Prints the ten products with the most revenue, and the totals. */
export function reportViews(screen: Screen, { topTen, stats }: Views): void {
  screen.line()
  screen.line(screen.style('bold', 'Top ten by revenue'))
  for (const [index, { name, unitsSold, revenueCents, stock }] of topTen.entries()) {
    const short = name.length > NAME ? `${name.slice(0, NAME - 1)}…` : name
    const figures = `${dollars(revenueCents).padStart(11)}  ${count(unitsSold).padStart(3)} sold, ${stock} left`
    screen.line(`${String(index + 1).padStart(2)}  ${short.padEnd(NAME)} ${figures}`)
  }
  screen.line()
  screen.line(screen.style('bold', 'In all'))
  screen.line(
    `    ${dollars(stats.revenueCents)} from ${count(stats.sales)} sales of ${count(stats.unitsSold)} units; ` +
      `${count(stats.unitsInStock)} units of ${count(stats.items)} products are in stock`,
  )
  screen.line()
}

/** Prints the verdict: that everything agrees, or what does not. */
export function reportDifferences(screen: Screen, found: readonly string[], products: number): void {
  if (found.length === 0) {
    screen.line(
      `${screen.style(['green', 'bold'], '✔')} A plain fold of the file agrees to the cent: stock, units and revenue of ` +
        `${count(products)} products,`,
    )
    screen.line('  the totals, every sale that was refused, every alert, and one event per accepted command.')
  } else {
    screen.line(
      `${screen.style(['red', 'bold'], '✘')} The system and a plain fold of the file differ ${count(found.length)} times:`,
    )
    for (const difference of found.slice(0, SHOWN)) screen.line(`  ${difference}`)
    if (found.length > SHOWN) screen.line(`  … and ${count(found.length - SHOWN)} more`)
  }
  screen.line()
}
