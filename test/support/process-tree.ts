export { childrenOf } from '../../src/chaos/process-tree.ts'
