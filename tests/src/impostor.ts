import { type Socket, createServer } from 'node:net'
import { type Scope, freeAfter } from '@etcd-ts/testkit'

/** What an impostor says on a connection once it has heard something; it says nothing more. */
export interface Impostor {
  readonly name: string
  /** @param request the head of the first request, as text */
  answer(socket: Socket, request: string): void
}

/** Something that listens where a member is expected. */
export class ImpostorServer {
  #connections = 0
  readonly #waiters: { readonly connections: number; readonly resolve: () => void }[] = []

  static async listen(scope: Scope, port: number, impostor: Impostor): Promise<ImpostorServer> {
    const impostorServer = new ImpostorServer()
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      sockets.add(socket)
      impostorServer.#count()
      socket.on('error', () => {}) // 'close' follows
      socket.on('close', () => sockets.delete(socket))
      socket.once('data', (chunk: Buffer) => impostor.answer(socket, chunk.toString('latin1')))
    })
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, '127.0.0.1', resolve)
    })
    freeAfter(scope, async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const socket of sockets) socket.destroy()
      await closed
    })
    return impostorServer
  }

  /** Waits until so many connections have been opened in all. @throws after `timeoutMs` */
  dialed(connections: number, timeoutMs = 20_000): Promise<void> {
    if (this.#connections >= connections) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`${this.#connections} connections of ${connections} in ${timeoutMs} ms`))
      }, timeoutMs)
      this.#waiters.push({
        connections,
        resolve: () => {
          clearTimeout(timer)
          resolve()
        },
      })
    })
  }

  #count(): void {
    this.#connections += 1
    for (const waiter of this.#waiters) if (this.#connections >= waiter.connections) waiter.resolve()
  }
}

/** An answer in HTTP/1.1 with a body of known length. */
export function httpAnswer(status: string, headers: Readonly<Record<string, string>>, body: string): string {
  const all = { 'Content-Length': String(Buffer.byteLength(body)), ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status}\r\n${lines.join('')}\r\n${body}`
}

/** The start of an endless answer to the GET of a stream. */
export function streamHead(headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${lines.join('')}\r\n`
}

/** Bytes as one chunk of a chunked body. */
export function bodyChunk(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')])
}
