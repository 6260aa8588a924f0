export { TcpProxy } from '../../src/chaos/tcp-proxy.ts'
