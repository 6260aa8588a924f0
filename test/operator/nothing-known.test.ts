import { expect, test } from 'vitest'
import { operatorAnswers } from '../support/operator-answers.ts'

test.each(['audit', 'verify'])(
  '%s of an app without views says that nothing was checked',
  async (command) => {
    const { run } = await operatorAnswers({
      'ops::status': () => ({ projections: [] }),
      'ops::projections': () => ({ projections: [] }),
    })
    expect(await run(command)).toEqual({
      exitCode: 0,
      stdout: '',
      stderr: 'This app has no projections and no reactors, so there is nothing to check.\n',
    })
  },
)

test('the result of a verify is told though the next one removes it already', async () => {
  const side = { position: 3, documents: 2, hash: '' }
  const counts = { added: 0, changed: 0, removed: 0, damaged: 0, examples: [] }
  const report = { kind: 'compared', samePosition: true, before: side, after: side, ...counts }
  const facts = { generation: 2, position: 3, target: 3, error: null }
  const generation = { ...facts, purpose: 'verify', state: 'pruning', report, verdict: 'same' }
  const { run } = await operatorAnswers({
    'ops::verify': () => ({ projection: 'list', generation: 2, joined: false }),
    'ops::projections-show': () => ({ projections: [{ name: 'list', generations: [generation] }] }),
  })
  const ended = await run('verify', 'list')
  expect(ended.stdout).toContain('list: verified at position 3: 2 documents, all as the log says')
  expect(ended.exitCode).toBe(0)
})

test.each([
  ['pruning', 1, 'is being removed, so it is not known how it ended. Its documents differ.'],
  ['previous', 0, 'was swapped in, and another one has taken its place since.'],
])('a rebuild that is found in the state %s ends with %i and says so', async (state, exitCode, says) => {
  const error = state === 'pruning' ? 'Its documents differ.' : null
  const generation = { generation: 2, purpose: 'serve', state, position: 3, target: 3, report: null, error }
  const { run } = await operatorAnswers({
    'ops::rebuild': () => ({ projection: 'list', generation: 2, joined: false }),
    'ops::projections-show': () => ({ projections: [{ name: 'list', generations: [generation] }] }),
  })
  const ended = await run('rebuild', 'list')
  expect(ended.exitCode).toBe(exitCode)
  expect(ended.stdout).toContain(`list: generation 2 ${says}`)
})
