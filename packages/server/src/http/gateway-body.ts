import type { IncomingMessage } from 'node:http'
import { JsonError, JsonReader, type JsonValue } from '@etcd-ts/api'
import { JsonSplitter } from './json-splitter.ts'

/**
 * Reads a whole body.
 *
 * @param onBody gets it, or undefined once it is longer than `bytesMax`; never called when the client is gone
 */
export function collectBody(
  request: IncomingMessage,
  bytesMax: number,
  onBody: (body: string | undefined) => void,
): void {
  const chunks: Buffer[] = []
  let bytes = 0
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (bytes <= bytesMax) chunks.push(chunk)
    else if (bytes - chunk.length <= bytesMax) {
      chunks.length = 0
      onBody(undefined)
    }
  })
  request.on('end', () => {
    if (bytes <= bytesMax) onBody((chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)).toString('utf8'))
  })
}

/** The value that a body begins with, null when there is none; what follows it does not matter. */
export function firstValue(body: string): JsonValue {
  return new JsonReader(body).next() ?? null
}

/** Who takes the values of a body, one after another. */
export interface ValueSink {
  /** Whether it takes none now; `BodyValues.resume` says that it does again. */
  readonly paused: boolean
  /** Whether it takes no more at all. */
  readonly ended: boolean
  /** @throws JsonError when the value will not do */
  onValue(value: JsonValue): void
  /** The body has ended. */
  onEnd(): void
  /** A value is not JSON, will not do, or is longer than the limit (undefined); no more is read. */
  onError(error: JsonError | undefined): void
}

/** Reads a body that is a sequence of JSON values, as fast as they are taken. */
export class BodyValues {
  readonly #request: IncomingMessage
  readonly #sink: ValueSink
  readonly #valueLengthMax: number
  readonly #splitter = new JsonSplitter()
  readonly #utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
  #bodyEnded = false
  #stopped = false

  constructor(request: IncomingMessage, valueLengthMax: number, sink: ValueSink) {
    this.#request = request
    this.#valueLengthMax = valueLengthMax
    this.#sink = sink
    request.on('data', (chunk: Buffer) => {
      if (this.#stopped) return
      this.#splitter.push(this.#utf8.decode(chunk, { stream: true }))
      this.#pump()
    })
    request.on('end', () => {
      this.#bodyEnded = true
      this.#pump()
    })
  }

  /** Goes on after a pause. */
  resume(): void {
    this.#request.resume()
    this.#pump()
  }

  #pump(): void {
    while (!this.#stopped) {
      if (this.#sink.ended) {
        this.#stopped = true
      } else if (this.#sink.paused) {
        this.#request.pause()
        return
      } else {
        const text = this.#splitter.next() ?? (this.#bodyEnded ? this.#splitter.rest() : undefined)
        if (text !== undefined) this.#take(text)
        else if (this.#bodyEnded) {
          this.#stopped = true
          this.#sink.onEnd()
        } else {
          if (this.#splitter.pendingLength > this.#valueLengthMax) this.#fail(undefined)
          return
        }
      }
    }
  }

  #take(text: string): void {
    try {
      this.#sink.onValue(firstValue(text))
    } catch (error) {
      if (!(error instanceof JsonError)) throw error
      this.#fail(error)
    }
  }

  #fail(error: JsonError | undefined): void {
    this.#stopped = true
    this.#request.resume()
    this.#sink.onError(error)
  }
}
