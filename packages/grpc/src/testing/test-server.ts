import net from 'node:net'
import type { Socket } from 'node:net'
import { GrpcClient, type GrpcClientOptions } from '../client.ts'
import { GrpcServer, type GrpcServerOptions } from '../server.ts'
import { listen } from './raw-peer.ts'
import type { Method, ServiceTable, StreamCall, UnaryCall } from '../service.ts'

/** Services that tests call: each does what its name says. */
export const testServices: ServiceTable = new Map<string, Method>([
  ['/test.Test/Echo', { kind: 'unary', handle: (call, request) => call.respond(request) }],
  ['/test.Test/Sink', { kind: 'unary', handle: (call) => call.respond(Buffer.alloc(0)) }],
  ['/test.Test/Hang', { kind: 'unary', handle: () => undefined }],
  [
    '/test.Test/EchoStream',
    {
      kind: 'stream',
      handle: (call) => {
        call.onMessage = (message) => {
          call.write(message)
        }
        call.onHalfClose = () => call.end()
      },
    },
  ],
])

export interface TestServer {
  readonly server: GrpcServer
  readonly port: number
  /** Sockets accepted so far. */
  readonly sockets: Socket[]
  client(options?: Partial<GrpcClientOptions>): GrpcClient
  stop(): Promise<void>
}

export async function startServer(options: Partial<GrpcServerOptions> = {}): Promise<TestServer> {
  const server = new GrpcServer({ services: testServices, ...options })
  const sockets: Socket[] = []
  const listener = net.createServer((socket) => {
    sockets.push(socket)
    server.handle(socket)
  })
  const port = await listen(listener)
  const clients: GrpcClient[] = []
  return {
    server,
    port,
    sockets,
    client(clientOptions = {}) {
      const client = new GrpcClient({
        connect: () => net.connect(port, '127.0.0.1'),
        authority: `127.0.0.1:${port}`,
        ...clientOptions,
      })
      clients.push(client)
      return client
    },
    async stop() {
      for (const client of clients) client.close()
      listener.close()
      await server.close(0)
    },
  }
}

/** A table of one method. */
export function unary(handle: (call: UnaryCall, request: Uint8Array) => void): ServiceTable {
  return new Map<string, Method>([['/test.Test/Do', { kind: 'unary', handle }]])
}

export function streaming(handle: (call: StreamCall) => void): ServiceTable {
  return new Map<string, Method>([['/test.Test/Do', { kind: 'stream', handle }]])
}
