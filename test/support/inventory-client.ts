export { type InventoryCommand, request, settle } from '../../src/chaos/client.ts'
