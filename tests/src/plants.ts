/** Bugs to plant under simulated members. */
import type { Backend } from '@etcd-ts/backend'
import type { SimFaults, SimIoCall } from '@etcd-ts/testkit'

/** One call in `every` that `matches` lies. */
export function lies(matches: (call: SimIoCall) => boolean, every = 1): SimFaults {
  let count = 0
  return (call) => (matches(call) && count++ % every === 0 ? { lies: true } : undefined)
}

/** Lets `change` decide what is put into the backend instead of a row; undefined for nothing. */
export function puts(change: (bucket: string, key: string, value: Uint8Array) => Uint8Array | undefined): {
  readonly backend: (backend: Backend) => void
} {
  return {
    backend(backend: Backend) {
      const put = backend.put.bind(backend)
      backend.put = (bucket, key, value) => {
        const changed = change(bucket, Buffer.from(key).toString('latin1'), value)
        if (changed !== undefined) put(bucket, key, changed)
      }
    },
  }
}

/** The consistent index, moved. */
export function moved(value: Uint8Array, by: number): Uint8Array {
  const bytes = Buffer.from(value)
  bytes.writeBigUInt64BE(BigInt(Math.max(0, Number(bytes.readBigUInt64BE()) + by)))
  return bytes
}
