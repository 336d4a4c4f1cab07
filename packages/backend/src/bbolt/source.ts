import type { BboltSource } from './reader.ts'

/** A file in memory. */
export function sourceOf(bytes: Uint8Array): BboltSource {
  return {
    path: 'memory',
    size: () => bytes.length,
    readAt(out, position) {
      const part = bytes.subarray(position, position + out.length)
      out.set(part)
      return part.length
    },
  }
}
