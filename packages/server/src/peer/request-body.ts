import type { IncomingMessage } from 'node:http'
import type { Clock } from '@etcd-ts/platform'
import { Deadline } from './deadline.ts'
import { MESSAGE_BYTES_MAX } from './message-check.ts'
import { IDLE_TIMEOUT_MS } from './outgoing-stream.ts'

/**
 * The body of a request as it arrives. It ends when the other side has ended it, and throws when the connection broke
 * before that, or nothing came for a while.
 */
export async function* requestChunks(request: IncomingMessage, clock: Clock): AsyncGenerator<Buffer> {
  const chunks = (request as AsyncIterable<Buffer>)[Symbol.asyncIterator]()
  for (;;) {
    // The time that the reader takes for a chunk is not the sender's.
    const deadline = new Deadline(clock, IDLE_TIMEOUT_MS, () => request.destroy(new Error('i/o timeout')))
    let chunk: IteratorResult<Buffer>
    try {
      chunk = await chunks.next()
    } finally {
      deadline.cancel()
    }
    if (chunk.done === true) break
    yield chunk.value
  }
  if (!request.complete) throw new Error('unexpected EOF')
}

/** The whole body of a request. @throws Error when it breaks off or is longer than a message may be */
export async function readRequestBody(request: IncomingMessage, clock: Clock): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of requestChunks(request, clock)) {
    sizeBytes += chunk.length
    if (sizeBytes > MESSAGE_BYTES_MAX) throw new Error('rafthttp: error limit exceeded')
    chunks.push(chunk)
  }
  const [only] = chunks
  return chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks, sizeBytes)
}
