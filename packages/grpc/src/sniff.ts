import type { Socket } from 'node:net'
import { PREFACE } from './frames.ts'

export interface SniffHandlers {
  /** The connection begins with HTTP/2's preface. */
  readonly onHttp2: (socket: Socket) => void
  /** Anything else: HTTP/1.1, or nonsense that an HTTP/1.1 server knows how to refuse. */
  readonly onHttp1: (socket: Socket) => void
  /** The first byte opens a TLS handshake. Without this handler it is given to `onHttp1`. */
  readonly onTls?: (socket: Socket) => void
  /** Connections that do not say what they are by then are destroyed. */
  readonly timeoutMs: number
}

/** The type of a TLS record that carries a handshake. */
const TLS_HANDSHAKE = 0x16

/**
 * Finds out what a new plain connection speaks and hands it on, with not a byte read. A socket that ends, fails or
 * stays silent is destroyed. Sockets should come from a server with `allowHalfOpen`, as node:http wants them.
 */
export function sniff(socket: Socket, handlers: SniffHandlers): void {
  let seen: Buffer | undefined
  const timer = setTimeout(() => socket.destroy(), handlers.timeoutMs).unref()
  const onGone = (): void => {
    socket.destroy()
  }
  const onData = (chunk: Buffer): void => {
    seen = seen === undefined ? chunk : Buffer.concat([seen, chunk])
    const length = Math.min(seen.length, PREFACE.length)
    const matches = PREFACE.compare(seen, 0, length, 0, length) === 0
    if (matches && length < PREFACE.length) return
    clearTimeout(timer)
    socket.pause()
    socket.off('data', onData)
    socket.off('end', onGone)
    socket.off('error', onGone)
    socket.off('close', onClose)
    socket.unshift(seen)
    if (seen[0] === TLS_HANDSHAKE && handlers.onTls !== undefined) {
      // node:tls reads what is buffered from a socket that stands still...
      handlers.onTls(socket)
      return
    }
    if (matches) handlers.onHttp2(socket)
    else handlers.onHttp1(socket)
    // ...node:http from one that flows.
    socket.resume()
  }
  const onClose = (): void => clearTimeout(timer)
  socket.on('data', onData)
  socket.on('end', onGone)
  socket.on('error', onGone)
  socket.on('close', onClose)
}
