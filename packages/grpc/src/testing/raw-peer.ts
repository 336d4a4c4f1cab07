import { once } from 'node:events'
import net from 'node:net'
import type { Socket } from 'node:net'
import { PREFACE, FrameType, readUint32, writeFrameHeader, Flag } from '../frames.ts'
import { HpackDecoder } from '../hpack/decoder.ts'
import { fieldBytesMax, writePlainField } from '../hpack/encoder.ts'

/** A frame as it was received. */
export interface RawFrame {
  readonly type: number
  readonly flags: number
  readonly streamId: number
  readonly payload: Buffer
}

/** Encodes one frame. */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const out = Buffer.alloc(9 + payload.length)
  writeFrameHeader(out, 0, payload.length, type, flags, streamId)
  out.set(payload, 9)
  return out
}

export function uint32(...values: number[]): Buffer {
  const out = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) out.writeUInt32BE(value, i * 4)
  return out
}

export function settings(...pairs: [id: number, value: number][]): Buffer {
  const out = Buffer.alloc(pairs.length * 6)
  for (const [i, [id, value]] of pairs.entries()) {
    out.writeUInt16BE(id, i * 6)
    out.writeUInt32BE(value, i * 6 + 2)
  }
  return out
}

/** A header block that uses no dynamic table. */
export function block(...pairs: (readonly [name: string, value: string])[]): Buffer {
  const out = Buffer.alloc(pairs.reduce((sum, [name, value]) => sum + fieldBytesMax(name, value), 0))
  let at = 0
  for (const [name, value] of pairs) at = writePlainField(out, at, name, value)
  return out.subarray(0, at)
}

/** A gRPC message with its prefix. */
export function message(body: Uint8Array | string, flag = 0): Buffer {
  const bytes = Buffer.from(body)
  return Buffer.concat([Buffer.of(flag), uint32(bytes.length), bytes])
}

export function requestPairs(path: string): (readonly [string, string])[] {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'test'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ]
}

export function headers(streamId: number, path: string, endStream = false): Buffer {
  const flags = Flag.EndHeaders | (endStream ? Flag.EndStream : 0)
  return frame(FrameType.Headers, flags, streamId, block(...requestPairs(path)))
}

export function data(streamId: number, payload: Uint8Array, endStream = false): Buffer {
  return frame(FrameType.Data, endStream ? Flag.EndStream : 0, streamId, payload)
}

/** One end of an HTTP/2 connection that says exactly what a test wants, right or wrong. */
export class RawPeer {
  readonly socket: Socket
  readonly frames: RawFrame[] = []
  readonly closed: Promise<unknown>
  readonly decoder = new HpackDecoder(1 << 20)
  #bytes = Buffer.alloc(0)
  #read = 0
  #wake: (() => void) | undefined
  #isClosed = false

  constructor(socket: Socket, skipPreface = false) {
    this.socket = socket
    if (skipPreface) this.#skip = PREFACE.length
    this.closed = once(socket, 'close').catch(() => undefined)
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake?.()
    })
  }

  #skip = 0

  /** Connects to a server and greets it. */
  static async connect(port: number, ...own: [id: number, value: number][]): Promise<RawPeer> {
    const peer = new RawPeer(net.connect(port, '127.0.0.1'))
    peer.send(PREFACE, frame(FrameType.Settings, 0, 0, settings(...own)))
    await once(peer.socket, 'connect')
    return peer
  }

  send(...parts: Uint8Array[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  #onData(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, this.#bytes.length)
      this.#skip -= skipped
      this.#bytes = this.#bytes.subarray(skipped)
    }
    while (this.#bytes.length >= 9) {
      const length = this.#bytes.readUIntBE(0, 3)
      if (this.#bytes.length < 9 + length) break
      this.frames.push({
        type: this.#bytes[3]!,
        flags: this.#bytes[4]!,
        streamId: readUint32(this.#bytes, 5),
        payload: this.#bytes.subarray(9, 9 + length),
      })
      this.#bytes = this.#bytes.subarray(9 + length)
    }
    this.#wake?.()
  }

  /** The next frame that fits, skipping others; fails when the connection closes before it. */
  async next(fits: (frame: RawFrame) => boolean): Promise<RawFrame> {
    for (;;) {
      while (this.#read < this.frames.length) {
        const candidate = this.frames[this.#read++]!
        if (fits(candidate)) return candidate
      }
      if (this.#isClosed) throw new Error(`closed after ${this.frames.length} frames`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  type(type: number, streamId?: number): Promise<RawFrame> {
    return this.next((f) => f.type === type && (streamId === undefined || f.streamId === streamId))
  }

  /** The server's GOAWAY for an error, and then the end of the connection. */
  async failure(): Promise<{ code: number; debug: string; lastStreamId: number }> {
    const { payload } = await this.next(
      (f) => f.type === FrameType.GoAway && (f.payload.readUInt32BE(4) !== 0 || f.payload.length === 8),
    )
    await this.closed
    return {
      lastStreamId: payload.readUInt32BE(0),
      code: payload.readUInt32BE(4),
      debug: payload.toString('latin1', 8),
    }
  }

  /** The error code with which a stream is reset. */
  async reset(streamId: number): Promise<number> {
    return (await this.type(FrameType.RstStream, streamId)).payload.readUInt32BE(0)
  }

  /** The fields of the stream's next header block. */
  async headers(streamId: number): Promise<Map<string, string>> {
    // Every block must be decoded, in order, for the sake of the table.
    for (;;) {
      const { payload, streamId: id } = await this.type(FrameType.Headers)
      this.decoder.decode(payload, 0, payload.length)
      const fields = this.decoder.fields.slice(0, this.decoder.count)
      if (id === streamId) return new Map(fields.map(({ name, value }) => [name, value]))
    }
  }

  /** Completes a ping: everything sent before has been read by the other end. */
  async sync(): Promise<void> {
    this.send(frame(FrameType.Ping, 0, 0, Buffer.from('testsync')))
    await this.next((f) => f.type === FrameType.Ping && f.payload.toString() === 'testsync')
  }

  destroy(): void {
    this.socket.destroy()
  }
}

/** Starts to listen on a free port of the loopback interface, and returns it. */
export async function listen(listener: net.Server): Promise<number> {
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  if (address === null || typeof address === 'string') throw new Error('not a TCP listener')
  return address.port
}
