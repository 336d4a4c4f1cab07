import type { IncomingMessage } from 'node:http'

const BODY_BYTES_MAX = 64 * 1024

/**
 * The text of a short answer, without the newline at its end.
 *
 * @throws Error when the answer breaks off or is longer than any that members give
 */
export async function readShortBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let sizeBytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length
    if (sizeBytes > BODY_BYTES_MAX) throw new Error('the answer is too long')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8').replace(/\n$/, '')
}
