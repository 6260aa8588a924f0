// Building blocks of the console. Everything that comes from /ops is text: elements are created one by one and filled
// through textContent, never from markup.

/** Points of a chart; at one refresh every two seconds, they cover two minutes. */
export const POINTS = 60

export const find = (id) => document.getElementById(id)
export const number = (value) => value.toLocaleString('en')

const PURPOSES = { serve: 'being rebuilt', verify: 'being verified', inspect: 'being built for inspection' }

/** The progress of a build, e.g. `being rebuilt: folding, 4,000 of 12,000, 2,000 events/s, 4 s left`. */
export function progressOf({ purpose, phase, position, target, eventsPerSecond, secondsLeft, error }) {
  const facts = [
    phase,
    ...(target > 0 ? [`${number(position)} of ${number(target)}`] : []),
    ...(eventsPerSecond > 0 ? [`${number(Math.round(eventsPerSecond))} events/s`] : []),
    ...(secondsLeft === null ? [] : [`${number(secondsLeft)} s left`]),
  ]
  return `${PURPOSES[purpose]}: ${error ?? facts.join(', ')}`
}

/** 1536 as `1.5 KiB`. */
export function bytes(value) {
  const power = value < 1_024 ? 0 : Math.min(4, Math.floor(Math.log2(value) / 10))
  const amount = value / 1_024 ** power
  return `${power === 0 ? amount : amount.toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`
}

export function element(tag, { text, className, ...attributes } = {}, ...children) {
  const made = document.createElement(tag)
  if (text !== undefined) made.textContent = String(text)
  if (className) made.className = className
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

export function button(text, act, label = text) {
  const made = element('button', { type: 'button', text, 'aria-label': label })
  made.addEventListener('click', act)
  return made
}

/**
 * Fills a table. A cell is a text, an element, or `{text, className, title}`. Numbers, and cells of the class
 * `number`, are aligned to the right.
 */
export function fill(table, titles, rows, none) {
  // Keep the focus on its button: the table is drawn again every two seconds.
  const focused = table.contains(document.activeElement)
    ? document.activeElement.getAttribute('aria-label')
    : null
  const head = element(
    'tr',
    {},
    ...titles.map((text, column) => element('th', { scope: 'col', text, className: isNumber(rows, column) })),
  )
  const body = rows.map((cells) => element('tr', {}, ...cells.map(toCell)))
  if (rows.length === 0)
    body.push(element('tr', {}, element('td', { text: none, className: 'quiet', colspan: titles.length })))
  table.replaceChildren(element('thead', {}, head), element('tbody', {}, ...body))
  if (focused === null) return
  for (const each of table.querySelectorAll('button'))
    if (each.getAttribute('aria-label') === focused) each.focus()
}

const isNumber = (rows, column) =>
  rows.some((cells) => typeof cells[column] === 'number' || cells[column]?.className === 'number')
    ? 'number'
    : ''

function toCell(cell) {
  if (cell instanceof Node) return element('td', {}, cell)
  if (typeof cell === 'number') return element('td', { text: number(cell), className: 'number' })
  return element('td', typeof cell === 'object' && cell !== null ? cell : { text: cell ?? '' })
}

export function chart(points, label) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg')
  svg.setAttribute('viewBox', '0 0 120 24')
  svg.setAttribute('class', 'chart')
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', label)
  const line = document.createElementNS('http://www.w3.org/2000/svg', 'polyline')
  const top = Math.max(1, ...points)
  const place = (value, index) =>
    `${120 - (points.length - 1 - index) * (120 / (POINTS - 1))},${22 - (20 * value) / top}`
  line.setAttribute('points', points.map(place).join(' '))
  svg.append(line)
  return svg
}
