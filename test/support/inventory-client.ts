export {
  type Answered,
  type HttpAnswer,
  type InventoryCommand,
  request,
  settle,
} from '../../src/chaos/client.ts'
