export {
  type Answered,
  acceptedAt,
  type HttpAnswer,
  type InventoryCommand,
  request,
  settle,
} from '../../src/chaos/client.ts'
