const HEAD_END = Buffer.from('\r\n\r\n')
const HEAD_BYTES_MAX = 64 * 1024

/** What has come of the bytes of a connection: nothing yet, whole requests without a name, or who sends. */
export type ScanResult =
  | { readonly kind: 'incomplete' }
  | { readonly kind: 'anonymous'; readonly bytes: Buffer }
  | { readonly kind: 'from'; readonly id: string; readonly bytes: Buffer }
  | { readonly kind: 'opaque'; readonly bytes: Buffer }

/**
 * Reads the HTTP/1.1 requests at the start of a connection between members until one says in `X-Server-From` which member
 * sends it; every later request of the connection is that member's too. Requests such as `GET /version` do not say so.
 * What is not HTTP/1.1 is opaque and is not looked into.
 */
export class PeerRequestScanner {
  #held: Buffer[] = []
  #heldBytes = 0
  #bodyBytesLeft = 0

  /** Takes the next bytes; the result carries all that were held until now and may go on. */
  push(chunk: Buffer): ScanResult {
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    const bytes = this.#held.length === 1 ? chunk : Buffer.concat(this.#held, this.#heldBytes)
    this.#held = []
    this.#heldBytes = 0
    let at = Math.min(this.#bodyBytesLeft, bytes.length)
    this.#bodyBytesLeft -= at
    while (at < bytes.length) {
      const end = bytes.indexOf(HEAD_END, at)
      if (end < 0) return this.#hold(bytes, at)
      const head = bytes.toString('latin1', at, end)
      if (!/^[A-Z]+ \S+ HTTP\/1\.1\r\n/.test(head)) return { kind: 'opaque', bytes }
      const id = headerOf(head, 'x-server-from')
      if (id !== undefined) return { kind: 'from', id, bytes }
      // A body of unknown length cannot be skipped.
      if (headerOf(head, 'transfer-encoding') !== undefined) return { kind: 'opaque', bytes }
      const bodyBytes = Number(headerOf(head, 'content-length') ?? 0)
      const bodyAt = end + HEAD_END.length
      at = Math.min(bodyAt + bodyBytes, bytes.length)
      this.#bodyBytesLeft = bodyBytes - (at - bodyAt)
    }
    return { kind: 'anonymous', bytes }
  }

  /** Keeps the head that has begun at `at`, and gives what lies before it. */
  #hold(bytes: Buffer, at: number): ScanResult {
    const head = bytes.subarray(at)
    if (head.length > HEAD_BYTES_MAX || !/^[A-Z]*( |$)/.test(head.toString('latin1', 0, 16).slice(0, 8))) {
      return { kind: 'opaque', bytes }
    }
    this.#held = [head]
    this.#heldBytes = head.length
    return at === 0 ? { kind: 'incomplete' } : { kind: 'anonymous', bytes: bytes.subarray(0, at) }
  }
}

function headerOf(head: string, name: string): string | undefined {
  for (const line of head.split('\r\n').slice(1)) {
    const colon = line.indexOf(':')
    if (line.slice(0, colon).toLowerCase() === name) return line.slice(colon + 1).trim()
  }
  return undefined
}
