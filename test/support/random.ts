export { between, oneOf, seededRandom, shuffled } from '../../src/chaos/random.ts'

/** The seed of a test run: CQRS_TEST_SEED, or a new one. */
export function testSeed(): number {
  return Number(process.env.CQRS_TEST_SEED) || Math.floor(Math.random() * 1_000_000) + 1
}
