// The console: fetches everything that it shows from /ops, with the token of this tab.

import { button, bytes, chart, element, fill, find, number, POINTS, progressOf } from './elements.js'

const TOKEN = 'cqrs-token'
const REFRESH_MS = 2_000
let token = sessionStorage.getItem(TOKEN)
let timer
let before
let shownLetter
let next = null
const depths = new Map()

class SignedOut extends Error {}

async function ask(path, body) {
  const response = await fetch(path, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
    cache: 'no-store',
  })
  const answer = await response.json().catch(() => ({}))
  if (response.status === 401 || response.status === 429) throw new SignedOut(answer.error?.message)
  if (!response.ok)
    throw new Error(answer.error?.message ?? `The system answered with status ${response.status}.`)
  return answer
}

const stateOf = (projection) => {
  const { owned, waitsFor, damaged, lag, parked, builds } = projection
  if (waitsFor !== null) return { text: `waits for process ${waitsFor || '?'}`, className: 'bad' }
  if (!owned) return { text: 'no owner', className: 'bad' }
  const rebuilt = builds.find(({ purpose }) => purpose === 'serve')
  if (damaged !== null) {
    const text = rebuilt ? `damaged, ${progressOf(rebuilt)}` : 'damaged: run cqrs rebuild'
    return { text, title: damaged, className: 'bad' }
  }
  if (projection.frozen) {
    return { text: rebuilt ? `frozen, ${progressOf(rebuilt)}` : 'waits for a rebuild', className: 'bad' }
  }
  if (projection.paused) return { text: 'paused', className: 'warn' }
  if (builds.length > 0) return { text: builds.map(progressOf).join('; '), className: 'warn' }
  if (lag > 0) return { text: 'behind', className: 'warn' }
  return parked.dead + parked.retrying + parked.waiting > 0
    ? { text: 'parked', className: 'warn' }
    : { text: 'live', className: 'good' }
}

function showStatus(status) {
  find('app').textContent = status.app
  find('summary').textContent =
    `head at ${number(status.head)}, ${new Date(status.takenAt).toLocaleTimeString()}`
  const seconds = before ? (Date.parse(status.takenAt) - Date.parse(before.takenAt)) / 1_000 : 0
  const rate = ({ name, position }) => {
    const last = before?.projections.find((each) => each.name === name)
    if (position === null) return '-'
    return last?.position != null && seconds > 0
      ? Math.max(0, Math.round((position - last.position) / seconds))
      : 0
  }
  fill(
    find('projections'),
    [
      'Projection',
      'State',
      'Position',
      'Lag',
      'Lag, seconds',
      'Events/s',
      'Parked',
      'Dead',
      'Effects',
      'Queue',
    ],
    status.projections.map((each) => [
      each.name,
      stateOf(each),
      each.position ?? '-',
      each.lag ?? '-',
      each.lagSeconds === null ? { text: 'unreadable', className: 'bad' } : Math.round(each.lagSeconds),
      rate(each),
      each.parked ? each.parked.retrying + each.parked.dead + each.parked.waiting : '-',
      each.parked ? each.parked.dead + each.effects.dead : '-',
      each.effects ? each.effects.pending : '-',
      each.queue ? each.queue.depth : { text: 'away', className: 'bad' },
    ]),
    'The app has no projections.',
  )
  before = status
}

const STATES = { active: 'good', failed: 'bad', building: 'warn', ready: 'warn', returning: 'warn' }

function showGenerations({ projections }) {
  const standing = ({ state, purpose, verdict, error }) => {
    const text =
      state === 'building' && purpose !== 'serve'
        ? `building to ${purpose}`
        : state === 'verified' && verdict
          ? `verified: ${verdict}`
          : state
    return { text, className: STATES[state] ?? 'quiet', title: error ?? '' }
  }
  fill(
    find('generations'),
    ['Projection', 'Generation', 'State', 'Position', 'Disk'],
    projections.flatMap(({ name, generations }) =>
      generations.map((each) => [
        name,
        each.generation,
        standing(each),
        each.position,
        { text: bytes(each.bytes), className: 'number' },
      ]),
    ),
    'No worker has created a view yet.',
  )
}

function showQueues({ queues }) {
  fill(
    find('queues'),
    ['Queue', 'State', 'Depth', 'Depth, last two minutes', 'In flight', 'Retrying', 'Dead letters', ''],
    queues.map((each) => {
      const points = [...(depths.get(each.queue) ?? []), each.depth].slice(-POINTS)
      depths.set(each.queue, points)
      const act = each.paused ? 'resume' : 'pause'
      const path = `/ops/queues/${encodeURIComponent(each.queue)}/${act}`
      return [
        each.queue,
        each.paused
          ? { text: 'paused', className: 'warn' }
          : each.missing.length > 0
            ? { text: `waits for ${each.missing.join(', ')}`, className: 'bad' }
            : { text: 'open', className: 'good' },
        each.depth,
        chart(points, `Depth, now ${each.depth}, at most ${Math.max(...points)}`),
        each.inFlight,
        each.retrying,
        each.deadLetters,
        button(
          act === 'pause' ? 'Pause' : 'Resume',
          () => change(path, {}),
          `${act} the queue ${each.queue}`,
        ),
      ]
    }),
    'There are no queues.',
  )
}

let letters = []
let leftOut = new Map()

async function loadLetters({ more = false } = {}) {
  const query = new URLSearchParams()
  for (const [name, value] of new FormData(find('filter'))) if (value) query.set(name, value)
  if (more && next) query.set('after', next)
  // A refresh loads as many letters as are shown, so that it does not undo "Show more".
  query.set('limit', more ? '50' : String(Math.min(500, Math.max(50, letters.length))))
  const page = await ask(`/ops/letters?${query}`)
  letters = more ? [...letters, ...page.letters] : page.letters
  showLeftOut(page.incomplete, more)
  next = page.next
  find('more').hidden = next === null
  fill(
    find('letters'),
    ['Letter', 'Status', 'What', 'Attempts', 'Waiting behind it', 'Failed at', 'Error', ''],
    letters.map((each) => [
      { text: each.id, className: 'long', title: each.id },
      { text: each.status, className: each.status === 'dead' ? 'bad' : 'warn' },
      { text: each.what, className: 'long', title: each.what },
      each.attempts,
      each.waiting,
      new Date(each.failedAt).toLocaleString(),
      { text: each.error, className: 'long', title: each.error },
      button('Open', () => openLetter(each.id), `Open ${each.id}`),
    ]),
    page.incomplete.length > 0 ? 'None among the letters that could be read.' : 'Nothing has failed.',
  )
}

const LETTERS = { queue: 'dead letters', parked: 'parked events', effect: 'dead effects' }

/** Shows which letters are left out of the list, and why. */
function showLeftOut(incomplete, more) {
  if (!more) leftOut = new Map()
  for (const { source, name, error } of incomplete)
    leftOut.set(`${LETTERS[source]}${name === null ? '' : ` of ${name}`}`, error)
  const line = find('left-out')
  const text = leftOut.size > 0 ? `Left out: ${[...leftOut.keys()].join(', ')}.` : ''
  if (line.textContent !== text) line.textContent = text
  line.title = [...new Set(leftOut.values())].join('\n')
}

function showWorkers({ workers }) {
  fill(
    find('workers'),
    ['Role', 'State', 'Process', 'Host', 'Uptime', 'Memory', 'Owns'],
    workers.flatMap((worker) =>
      worker.roles.map((role) => [
        role.role,
        { text: role.state, className: role.state === 'at work' ? 'good' : 'quiet' },
        String(worker.pid),
        worker.host,
        `${number(worker.uptimeSeconds)} s`,
        `${number(Math.round(worker.memoryBytes / 1_048_576))} MiB`,
        { text: role.owns.join(', '), className: 'long', title: role.owns.join(', ') },
      ]),
    ),
    'No worker answers.',
  )
}

function showActions({ actions }) {
  const text = (value) => ({ text: JSON.stringify(value), className: 'long', title: JSON.stringify(value) })
  fill(
    find('actions'),
    ['When', 'What', 'Who', 'From', 'Outcome', 'Input', 'Result'],
    actions.map((each) => [
      new Date(each.begunAt).toLocaleString(),
      each.operation,
      each.by,
      { text: each.from, className: 'long', title: each.from },
      { text: each.outcome, className: { done: 'good', failed: 'bad', begun: 'warn' }[each.outcome] },
      text(each.input),
      text(each.result),
    ]),
    'No operator has changed anything yet.',
  )
}

async function showHealth() {
  const { status, parts } = await (await fetch('/health/ready', { cache: 'no-store' })).json()
  const badge = find('health')
  badge.hidden = false
  badge.className = `badge ${{ ready: 'good', degraded: 'warn' }[status] ?? 'bad'}`
  if (badge.textContent !== status) badge.textContent = status
  badge.title = parts.flatMap(({ part, reason }) => (reason ? [`${part}: ${reason}`] : [])).join('\n')
}

async function openLetter(id) {
  try {
    const letter = await ask(`/ops/letters/${encodeURIComponent(id)}`)
    shownLetter = id
    find('letter-title').textContent = letter.what
    find('letter-error').textContent = letter.error
    const facts = [
      ['Letter', letter.id],
      ['Status', letter.status],
      ['Attempts', letter.attempts],
      ['Waiting behind it', letter.behind.length > 0 ? letter.behind.join(', ') : String(letter.waiting)],
    ]
    find('letter-facts').replaceChildren(
      ...facts.flatMap(([term, text]) => [element('dt', { text: term }), element('dd', { text })]),
    )
    find('letter-content').textContent = JSON.stringify(letter.content, null, 2)
    find('letter-failures').replaceChildren(
      ...[letter.failures]
        .flat()
        .map(({ at, stack, message, error }) =>
          element(
            'li',
            {},
            element('p', { text: at ? new Date(at).toLocaleString() : '', className: 'quiet' }),
            element('pre', { text: stack ?? message ?? error ?? '' }),
          ),
        ),
    )
    find('letter-trouble').textContent = ''
    find('reason').value = ''
    find('letter').showModal()
  } catch (error) {
    report(error)
  }
}

async function settle(operation, body, said) {
  try {
    const { failures } = await ask(`/ops/letters/${operation}`, body)
    find('letter').close()
    const again = failures?.map(({ id, error }) => `${id} failed again: ${error}`).join('; ')
    find('refusal').textContent = again ?? ''
    find('announcement').textContent = again ? '' : said
    await refresh()
  } catch (error) {
    if (error instanceof SignedOut) report(error)
    else find('letter-trouble').textContent = error.message
  }
}

/**
 * Does what the operator asked for. The reason of a refusal stays visible until the operator asks for something else.
 */
async function change(path, body) {
  find('refusal').textContent = ''
  try {
    await ask(path, body)
  } catch (error) {
    if (error instanceof SignedOut) return signOut(error.message)
    find('refusal').textContent = error.message
  }
  await refresh()
}

function report(error) {
  if (error instanceof SignedOut) return signOut(error.message)
  find('trouble').textContent = error.message
  find('trouble').hidden = false
}

/** Loads and shows everything once. If one part does not answer, the others are shown all the same. */
async function refresh() {
  const loads = [
    ask('/ops/status').then(showStatus),
    ask('/ops/projections').then(showGenerations),
    ask('/ops/queues?limit=500').then(showQueues),
    loadLetters(),
    ask('/ops/workers').then(showWorkers),
    ask('/ops/actions?limit=20').then(showActions),
    showHealth(),
  ]
  const failures = (await Promise.allSettled(loads)).flatMap(({ reason }) => reason ?? [])
  find('trouble').hidden = failures.length === 0
  for (const failure of failures) report(failure)
  return failures.some((failure) => failure instanceof SignedOut)
}

async function run() {
  clearTimeout(timer)
  const signedOut = document.hidden ? false : await refresh()
  if (!signedOut && token) timer = setTimeout(run, REFRESH_MS)
}

function signIn() {
  find('sign-in').hidden = true
  find('panels').hidden = false
  find('sign-out').hidden = false
  run()
}

function signOut(message = '') {
  clearTimeout(timer)
  token = null
  sessionStorage.removeItem(TOKEN)
  if (find('letter').open) find('letter').close()
  for (const id of ['panels', 'sign-out', 'health', 'trouble']) find(id).hidden = true
  for (const id of ['app', 'summary', 'refusal', 'left-out']) find(id).textContent = ''
  for (const table of find('panels').querySelectorAll('table')) table.replaceChildren()
  find('sign-in').hidden = false
  find('sign-in-error').textContent = message
  find('token').focus()
}

find('sign-in').addEventListener('submit', async (event) => {
  event.preventDefault()
  token = find('token').value.trim()
  find('token').value = ''
  try {
    await ask('/ops/status')
    sessionStorage.setItem(TOKEN, token)
    find('sign-in-error').textContent = ''
    signIn()
  } catch (error) {
    signOut(error.message)
  }
})
find('sign-out').addEventListener('click', () => signOut())
find('filter').addEventListener('submit', (event) => {
  event.preventDefault()
  letters = []
  loadLetters().catch(report)
})
find('more').addEventListener('click', () => loadLetters({ more: true }).catch(report))
find('redrive').addEventListener('click', () => settle('redrive', { id: shownLetter }, 'Tried again.'))
find('discard').addEventListener('click', () => {
  const reason = find('reason').value.trim()
  if (reason) return settle('discard', { id: shownLetter, reason }, 'Given up.')
  find('letter-trouble').textContent = 'Give a reason; it is recorded.'
  find('reason').focus()
})

if (token) signIn()
else signOut()
