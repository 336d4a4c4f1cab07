import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Clock, type Timer, systemClock } from '@etcd-ts/platform'
import {
  type Backend,
  type BackendSnapshot,
  type BboltExport,
  KEY_BYTES_MAX,
  type RowReader,
} from './backend.ts'
import { BboltRows } from './bbolt/import.ts'
import { sourceOf } from './bbolt/source.ts'
import { type Bucket, bucketNames } from './buckets.ts'
import type { BufferedBackendOptions } from './buffered-backend.ts'
import { BackendError } from './error.ts'
import { seeded } from './seeded.ts'

export { type EtcdDatabase, etcdDatabases } from './bbolt/etcd-databases.ts'

/** A place for one backend: what one opening leaves there, the next one finds. */
export interface BackendPlace {
  open(options: BufferedBackendOptions): Backend
  /** Imports a bbolt file, beside the backend that is open. @returns the path for `openReplacement` */
  import(file: Uint8Array): Promise<string>
  /** Removes the place; the backend is closed. */
  remove(): void
}

/** A clock whose timers fire when the test says so. */
class HeldClock implements Clock {
  readonly timers: { run: () => void; delayMs: number; cancelled: boolean }[] = []
  readonly soons: (() => void)[] = []

  wallMs(): number {
    return 0
  }

  monotonicMs(): number {
    return 0
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const timer = { run, delayMs, cancelled: false }
    this.timers.push(timer)
    return { cancel: () => void (timer.cancelled = true) }
  }

  soon(run: () => void): void {
    this.soons.push(run)
  }

  sleep(): Promise<boolean> {
    throw new Error('a backend has no reason to sleep')
  }
}

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1')
const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : Buffer.from(value).toString('latin1')
const rowsOf = (reader: RowReader, bucket: Bucket, from?: string, to?: string): string[] =>
  reader
    .range(bucket, from === undefined ? undefined : bytes(from), to === undefined ? undefined : bytes(to))
    .map(([key, value]) => `${text(key)}=${text(value)}`)
const isReason =
  (reason: string) =>
  (error: unknown): boolean =>
    error instanceof BackendError && error.reason === reason

/** Reads an export to its end. */
async function contentOf(file: BboltExport): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of file.chunks()) chunks.push(chunk)
  const content = Buffer.concat(chunks)
  assert.equal(content.length, file.sizeBytes)
  return content
}

/** The rows of a bbolt file as `rowsOf` gives those of a bucket. */
function rowsIn(file: Uint8Array, bucket: Bucket): string[] {
  const rows: string[] = []
  for (const [name, { key, value }] of new BboltRows(sourceOf(file)).all()) {
    if (name === bucket) rows.push(`${text(key)}=${text(value)}`)
  }
  return rows
}

function unexpectedFailure(error: BackendError): void {
  throw error
}

const defaults: BufferedBackendOptions = { clock: systemClock, onWriteFailed: unexpectedFailure }

/** What every backend has to do, whatever it keeps its rows in. */
export function backendSuite(name: string, createPlace: () => BackendPlace): void {
  const withBackend = async (
    run: (backend: Backend, place: BackendPlace) => Promise<void>,
    options = defaults,
  ): Promise<void> => {
    const place = createPlace()
    const backend = place.open(options)
    try {
      await run(backend, place)
    } finally {
      await backend.close()
      place.remove()
    }
  }

  void describe(name, () => {
    void test('reads see what was written before it is committed, afterwards, and after opening again', async () => {
      const place = createPlace()
      const first = place.open(defaults)
      first.put('meta', bytes('a'), bytes('1'))
      first.put('auth', bytes('a'), bytes('2'))
      first.put('meta', bytes('empty'), bytes(''))
      first.put('meta', bytes('\0\xff'), bytes('\0'))
      const check = (backend: RowReader): void => {
        assert.equal(text(backend.get('meta', bytes('a'))), '1')
        assert.equal(text(backend.get('auth', bytes('a'))), '2')
        assert.equal(text(backend.get('meta', bytes('empty'))), '')
        assert.equal(backend.get('meta', bytes('b')), undefined)
        assert.equal(backend.get('lease', bytes('a')), undefined)
        assert.deepEqual(rowsOf(backend, 'meta'), ['\0\xff=\0', 'a=1', 'empty='])
      }
      check(first)
      await first.commit()
      check(first)
      await first.close()
      const second = place.open(defaults)
      check(second)
      await second.close()
      place.remove()
    })

    void test('close commits what was written', async () => {
      const place = createPlace()
      const first = place.open(defaults)
      first.put('lease', bytes('a'), bytes('1'))
      await first.close()
      const second = place.open(defaults)
      assert.deepEqual(rowsOf(second, 'lease'), ['a=1'])
      await second.close()
      place.remove()
    })

    void test('an owned value stays what it was; a key and a value are copied when they are put', () =>
      withBackend(async (backend) => {
        const key = bytes('key')
        const value = bytes('old')
        backend.put('meta', key, value)
        const owned = backend.get('meta', bytes('key'))
        key.fill(0)
        value.fill(0)
        backend.put('meta', bytes('key'), bytes('new'))
        assert.equal(text(owned), 'old')
        await backend.commit()
        const committed = backend.get('meta', bytes('key'))
        backend.put('meta', bytes('key'), bytes('third'))
        await backend.commit()
        assert.equal(text(backend.peek('meta', bytes('key'))), 'third')
        assert.equal(text(committed), 'new')
      }))

    void test('a reserved slot is a row once it is filled', () =>
      withBackend(async (backend) => {
        const slot = backend.reserve('key', 2, 3)
        slot.bytes.set(bytes('k1'), slot.keyAt)
        slot.bytes.set(bytes('abc'), slot.valueAt)
        assert.equal(text(backend.get('key', bytes('k1'))), 'abc')
        await backend.commit()
        assert.equal(text(backend.get('key', bytes('k1'))), 'abc')
        assert.equal(text(slot.bytes.subarray(slot.valueAt, slot.valueAt + slot.valueLength)), 'abc')
      }))

    void test('the last write of a key counts, in one batch and across batches', () =>
      withBackend(async (backend) => {
        backend.put('lease', bytes('a'), bytes('1'))
        backend.delete('lease', bytes('a'))
        backend.put('lease', bytes('a'), bytes('2'))
        backend.put('lease', bytes('b'), bytes('1'))
        backend.put('lease', bytes('b'), bytes('2'))
        backend.delete('lease', bytes('b'))
        assert.deepEqual(rowsOf(backend, 'lease'), ['a=2'])
        await backend.commit()
        assert.deepEqual(rowsOf(backend, 'lease'), ['a=2'])
        backend.delete('lease', bytes('a'))
        backend.delete('lease', bytes('never there'))
        assert.deepEqual(rowsOf(backend, 'lease'), [])
        const done = backend.commit()
        backend.put('lease', bytes('a'), bytes('3'))
        assert.deepEqual(rowsOf(backend, 'lease'), ['a=3'])
        await done
        assert.deepEqual(rowsOf(backend, 'lease'), ['a=3'])
      }))

    for (let seed = 1; seed <= 4; seed++) {
      void test(`random writes, commits and reads agree with a sorted map, seed ${seed}`, async () => {
        const place = createPlace()
        let backend = place.open(defaults)
        const below = seeded(seed)
        const model = new Map<string, Map<string, string>>(bucketNames.map((bucket) => [bucket, new Map()]))
        const commits: Promise<void>[] = []
        const check = (
          reader: RowReader,
          expected: ReadonlyMap<string, ReadonlyMap<string, string>>,
        ): void => {
          for (const bucket of bucketNames) {
            const rows = [...expected.get(bucket)!].sort(([a], [b]) => (a < b ? -1 : 1))
            assert.deepEqual(
              rowsOf(reader, bucket),
              rows.map(([key, value]) => `${key}=${value}`),
            )
          }
        }
        let pinned: { view: BackendSnapshot; expected: Map<string, Map<string, string>> } | undefined
        for (let step = 0; step < 1500; step++) {
          const bucket = bucketNames[below(3)]!
          const key = `${'k'.repeat(below(3))}${below(40)}`
          const rows = model.get(bucket)!
          const action = below(100)
          if (action < 50) {
            const value = `${step}`.repeat(below(5))
            backend.put(bucket, bytes(key), bytes(value))
            rows.set(key, value)
          } else if (action < 75) {
            backend.delete(bucket, bytes(key))
            rows.delete(key)
          } else if (action < 85) {
            assert.equal(text(backend.get(bucket, bytes(key))), rows.get(key))
          } else if (action < 95) {
            const [from, to] = [`k${below(40)}`, below(4) === 0 ? undefined : `kk${below(40)}`]
            const expected = [...rows]
              .filter(([k]) => k >= from && (to === undefined || k < to))
              .sort(([a], [b]) => (a < b ? -1 : 1))
            assert.deepEqual(
              rowsOf(backend, bucket, from, to),
              expected.map(([k, v]) => `${k}=${v}`),
            )
          } else if (action < 97) {
            const done = backend.commit()
            if (below(2) === 0) await done
            else commits.push(done)
          } else if (action === 97) {
            pinned?.view.close()
            const expected = new Map([...model].map(([b, m]) => [b, new Map(m)]))
            pinned = { view: await backend.snapshot(), expected }
          } else if (action === 98) {
            if (pinned !== undefined) check(pinned.view, pinned.expected)
          } else if (below(4) === 0) {
            await backend.defragment()
          } else {
            pinned?.view.close()
            pinned = undefined
            await backend.close()
            backend = place.open(defaults)
          }
          if (step % 100 === 0) check(backend, model)
        }
        await Promise.all(commits)
        pinned?.view.close()
        check(backend, model)
        await backend.close()
        place.remove()
      })
    }

    void test('a scan stops when the visitor says so, in committed and in pending rows', () =>
      withBackend(async (backend) => {
        for (let i = 0; i < 5; i++) backend.put('key', bytes(`k${i}`), bytes(`${i}`))
        await backend.commit()
        for (let i = 5; i < 9; i++) backend.put('key', bytes(`k${i}`), bytes(`${i}`))
        for (const limit of [1, 3, 5, 6, 8]) {
          const seen: string[] = []
          backend.scan('key', bytes('k0'), undefined, (key) => {
            seen.push(text(key)!)
            return seen.length < limit
          })
          assert.deepEqual(
            seen,
            Array.from({ length: limit }, (_, i) => `k${i}`),
          )
        }
      }))

    void test('a snapshot holds what was written before it was asked for and nothing later', () =>
      withBackend(async (backend) => {
        backend.put('key', bytes('1'), bytes('a'))
        const pending = backend.snapshot()
        backend.put('key', bytes('2'), bytes('b'))
        backend.delete('key', bytes('1'))
        const first = await pending
        const second = await backend.snapshot()
        backend.put('key', bytes('3'), bytes('c'))
        await backend.commit()
        assert.deepEqual(rowsOf(first, 'key'), ['1=a'])
        assert.equal(text(first.get('key', bytes('1'))), 'a')
        assert.deepEqual(rowsOf(second, 'key'), ['2=b'])
        assert.deepEqual(rowsOf(backend, 'key'), ['2=b', '3=c'])
        first.close()
        second.close()
      }))

    void test('the commit hook adds to the batch that is about to close, each time one does', () =>
      withBackend(async (backend) => {
        let applied = 0
        let calls = 0
        backend.setCommitHook(() => {
          calls++
          backend.put('meta', bytes('consistent_index'), bytes(`${applied}`))
        })
        for (applied = 1; applied <= 3; applied++) {
          backend.put('key', bytes(`k${applied}`), bytes(''))
          const view = await backend.snapshot()
          assert.equal(view.range('key').length, applied)
          assert.equal(text(view.get('meta', bytes('consistent_index'))), `${applied}`)
          view.close()
        }
        assert.equal(calls, 3)
      }))

    void test('a batch closes after its interval, counted from its first write', async () => {
      const clock = new HeldClock()
      await withBackend(
        async (backend) => {
          let closed = 0
          backend.setCommitHook(() => closed++)
          assert.equal(clock.timers.length, 0)
          backend.put('key', bytes('a'), bytes(''))
          backend.put('key', bytes('b'), bytes(''))
          assert.deepEqual(
            clock.timers.map(({ delayMs }) => delayMs),
            [70],
          )
          clock.timers[0]!.run()
          assert.equal(closed, 1)
          backend.put('key', bytes('c'), bytes(''))
          assert.equal(clock.timers.length, 2)
          await backend.commit()
          assert.ok(clock.timers[1]!.cancelled)
        },
        { ...defaults, clock, batchIntervalMs: 70 },
      )
    })

    void test('a batch that is full closes when the turn is over', async () => {
      const clock = new HeldClock()
      await withBackend(
        async (backend) => {
          let closed = 0
          backend.setCommitHook(() => closed++)
          for (let i = 0; i < 5; i++) backend.put('key', bytes(`k${i}`), bytes(''))
          assert.deepEqual([clock.soons.length, closed], [1, 0])
          clock.soons[0]!()
          assert.equal(closed, 1)
          // A batch that was closed by something else meanwhile is not closed again.
          for (let i = 5; i < 9; i++) backend.put('key', bytes(`k${i}`), bytes(''))
          await backend.commit()
          clock.soons[1]!()
          assert.equal(closed, 2)
        },
        { ...defaults, clock, batchLimit: 3 },
      )
    })

    void test('drained waits while more is pending than allowed', async () => {
      await withBackend(
        async (backend) => {
          await backend.drained()
          backend.put('key', bytes('a'), Buffer.alloc(2000))
          assert.equal(backend.pendingBytes(), 2001)
          await backend.drained()
          assert.equal(backend.pendingBytes(), 0)
        },
        { ...defaults, pendingBytesMax: 1000 },
      )
    })

    void test('defragment frees what removed rows held and changes no row', () =>
      withBackend(async (backend, place) => {
        const value = Buffer.alloc(1000, 7)
        for (let i = 0; i < 3000; i++) backend.put('key', bytes(`k${1000 + i}`), value)
        await backend.commit()
        for (let i = 0; i < 3000; i++) if (i % 10 > 0) backend.delete('key', bytes(`k${1000 + i}`))
        await backend.commit()
        const before = rowsOf(backend, 'key')
        const old = await backend.snapshot()
        const sizeBefore = backend.size()
        assert.ok(backend.sizeInUse() < sizeBefore / 2)
        const steps: string[] = []
        const done = backend.defragment((step) => steps.push(step))
        backend.put('meta', bytes('meanwhile'), bytes('1'))
        assert.equal(text(backend.get('meta', bytes('meanwhile'))), '1')
        await done
        assert.deepEqual(steps, ['copied', 'synced', 'opened', 'renamed', 'finished'])
        assert.ok(backend.size() < sizeBefore / 2, `${backend.size()} of ${sizeBefore}`)
        assert.ok(backend.sizeInUse() <= backend.size())
        assert.deepEqual(rowsOf(backend, 'key'), before)
        assert.deepEqual(rowsOf(old, 'key'), before)
        old.close()
        await backend.commit()
        assert.equal(text(backend.get('meta', bytes('meanwhile'))), '1')
        await backend.defragment()
        await backend.close()
        const again = place.open(defaults)
        assert.deepEqual(rowsOf(again, 'key'), before)
        assert.equal(text(again.get('meta', bytes('meanwhile'))), '1')
        await again.close()
      }))

    void test('a commit of many removals after a defragmentation', () =>
      withBackend(async (backend) => {
        for (let round = 0; round < 2; round++) {
          for (let i = 0; i < 1500; i++) backend.put('key', bytes(`k${i}`), Buffer.alloc(4000, i))
          await backend.commit()
          await backend.defragment()
          for (let i = 0; i < 1500; i++) if (i !== 700) backend.delete('key', bytes(`k${i}`))
          await backend.commit()
          assert.deepEqual(rowsOf(backend, 'key'), [`k700=${'\xbc'.repeat(4000)}`])
        }
      }))

    void test('an export is a bbolt file of what was written before it was asked for', () =>
      withBackend(async (backend) => {
        let applied = 0
        backend.setCommitHook(() => backend.put('meta', bytes('consistent_index'), bytes(`${applied}`)))
        for (let i = 0; i < 3000; i++) backend.put('key', bytes(`k${1000 + i}`), Buffer.alloc(i % 600, 65))
        applied = 7
        const asked = backend.exportBbolt()
        applied = 8 // too late: the hook has run
        const expected = rowsOf(backend, 'key')
        backend.put('key', bytes('k1000'), bytes('later'))
        backend.delete('key', bytes('k1001'))
        await backend.commit()
        const file = await asked
        backend.put('key', bytes('even'), bytes('later'))
        await backend.commit()
        const content = await contentOf(file)
        assert.deepEqual(rowsIn(content, 'key'), expected)
        assert.deepEqual(rowsIn(content, 'meta'), ['consistent_index=7'])
        const again = await contentOf(await backend.exportBbolt())
        assert.deepEqual(rowsIn(again, 'key'), rowsOf(backend, 'key'))
        assert.deepEqual(rowsIn(again, 'meta'), ['consistent_index=8'])
      }))

    void test('exports of one moment are equal to the byte; closed or left early they do no harm', () =>
      withBackend(async (backend) => {
        for (let i = 0; i < 2000; i++) backend.put('key', bytes(`k${i}`), Buffer.alloc(500, i))
        const files = await Promise.all([1, 2, 3, 4].map(() => backend.exportBbolt()))
        const [first, second, third, fourth] = files as [BboltExport, BboltExport, BboltExport, BboltExport]
        third.close()
        third.close()
        await assert.rejects(contentOf(third), isReason('closed'))
        for await (const chunk of fourth.chunks()) {
          assert.ok(chunk.length > 0 && chunk.length <= 128 * 1024)
          break
        }
        await backend.defragment()
        const [a, b] = await Promise.all([contentOf(first), contentOf(second)])
        assert.ok(a.equals(b))
        assert.deepEqual(rowsIn(a, 'key'), rowsOf(backend, 'key'))
        await assert.rejects(contentOf(first))
      }))

    void test('a backend that is closed ends its exports', async () => {
      const place = createPlace()
      const backend = place.open(defaults)
      for (let i = 0; i < 5000; i++) backend.put('key', bytes(`k${i}`), Buffer.alloc(500, i))
      const file = await backend.exportBbolt()
      const reading = contentOf(file).then(
        () => undefined, // read to its end in time
        (error: unknown) => assert.ok(isReason('closed')(error), String(error)),
      )
      await backend.close()
      await reading
      const again = place.open(defaults)
      assert.equal(again.range('key').length, 5000)
      await again.close()
      place.remove()
    })

    void test('a replacement takes the place of all rows at once', () =>
      withBackend(async (backend, place) => {
        backend.put('key', bytes('a'), bytes('new'))
        backend.put('meta', bytes('m'), bytes('new'))
        const path = await place.import(await contentOf(await backend.exportBbolt()))
        backend.put('key', bytes('a'), bytes('old'))
        backend.put('key', bytes('b'), bytes('old'))
        await backend.commit()
        backend.put('key', bytes('c'), bytes('not committed'))
        const old = await backend.snapshot()
        const oldFile = await backend.exportBbolt()
        backend.put('key', bytes('d'), bytes('not committed'))

        const replacement = backend.openReplacement(path)
        assert.deepEqual(rowsOf(replacement, 'key'), ['a=new'])
        assert.equal(text(replacement.get('meta', bytes('m'))), 'new')
        assert.equal(backend.range('key').length, 4)
        const committed = backend.commit()
        backend.put('key', bytes('e'), bytes('not committed'))
        let calls = 0
        const installed = backend.install(replacement, () => {
          calls++
          assert.deepEqual(rowsOf(backend, 'key'), ['a=new'])
          backend.put('key', bytes('f'), bytes('after'))
        })
        const late = backend.exportBbolt()
        await assert.rejects(late, isReason('replaced'))
        await installed
        await committed
        assert.equal(calls, 1)
        assert.deepEqual(rowsOf(backend, 'key'), ['a=new', 'f=after'])
        assert.deepEqual(rowsOf(old, 'key'), ['a=old', 'b=old', 'c=not committed'])
        assert.deepEqual(rowsIn(await contentOf(oldFile), 'key'), rowsOf(old, 'key'))
        old.close()
        await replacement.close()
        await backend.defragment()
        await backend.close()
        const again = place.open(defaults)
        assert.deepEqual(rowsOf(again, 'key'), ['a=new', 'f=after'])
        await again.close()
      }))

    void test('replacements follow one another; one that is given up stays where it is', () =>
      withBackend(async (backend, place) => {
        const views: [BackendSnapshot, string[]][] = []
        for (let round = 0; round < 4; round++) {
          for (let i = 0; i < 300; i++) backend.put('key', bytes(`k${i}`), Buffer.alloc(900, 48 + round))
          const expected = rowsOf(backend, 'key')
          const path = await place.import(await contentOf(await backend.exportBbolt()))
          backend.delete('key', bytes('k1'))
          views.push([await backend.snapshot(), rowsOf(backend, 'key')])
          await backend.openReplacement(path).close()
          await backend.install(path)
          assert.deepEqual(rowsOf(backend, 'key'), expected)
        }
        for (const [view, expected] of views) {
          assert.deepEqual(rowsOf(view, 'key'), expected)
          view.close()
        }
      }))

    void test('what is no data file replaces nothing', () =>
      withBackend(async (backend) => {
        backend.put('key', bytes('a'), bytes('1'))
        await backend.commit()
        assert.throws(() => backend.openReplacement('/nowhere/db'), isReason('openFailed'))
        await assert.rejects(backend.install('/nowhere/db'), isReason('openFailed'))
        assert.deepEqual(rowsOf(backend, 'key'), ['a=1'])
      }))

    void test('a backend that is abandoned forgets what was not committed', async () => {
      const place = createPlace()
      const backend = place.open(defaults)
      backend.put('key', bytes('a'), bytes('1'))
      await backend.commit()
      backend.put('key', bytes('b'), bytes('2'))
      const underWay = backend.commit()
      backend.put('key', bytes('c'), bytes('3'))
      const waiting = backend.commit()
      backend.setCommitHook(() => assert.fail('nothing is described any more'))
      backend.put('key', bytes('d'), bytes('4'))
      await Promise.all([backend.abandon(), underWay, assert.rejects(waiting, isReason('closed'))])
      await backend.abandon()
      await backend.close()
      assert.throws(() => backend.put('key', bytes('e'), bytes('')), isReason('closed'))
      const again = place.open(defaults)
      assert.deepEqual(rowsOf(again, 'key'), ['a=1', 'b=2'])
      await again.close()
      place.remove()
    })

    void test('sizes: pages in use within the file, and what pending rows will need', () =>
      withBackend(async (backend) => {
        const empty = backend.size()
        assert.ok(empty > 0 && backend.sizeInUse() <= empty)
        assert.equal(backend.sizeProjected(), empty)
        for (let i = 0; i < 1000; i++) backend.put('key', bytes(`k${1000 + i}`), Buffer.alloc(500))
        assert.equal(backend.size(), empty)
        const projected = backend.sizeProjected()
        assert.ok(projected > empty + 500_000)
        await backend.commit()
        assert.ok(
          backend.size() > empty + 500_000 && backend.size() <= projected,
          `${backend.size()} ${projected}`,
        )
        assert.equal(backend.sizeProjected(), backend.size())
      }))

    void test('large values', () =>
      withBackend(async (backend) => {
        const lengths = [0, 1, 2000, 4096, 100_000, 200_000, 1_500_000, 20_000_000]
        const check = (): void => {
          for (const length of lengths) {
            const value = backend.get('key', bytes(`v${length}`))
            assert.equal(value?.length, length)
            assert.ok(value.every((byte) => byte === length % 251))
          }
          backend.scan('key', bytes('v'), undefined, (key, value) => {
            assert.equal(text(key), `v${value.length}`)
            assert.ok(value.every((byte) => byte === value.length % 251))
            return true
          })
        }
        for (const length of lengths)
          backend.put('key', bytes(`v${length}`), Buffer.alloc(length, length % 251))
        check()
        await backend.commit()
        check()
      }))

    void test('keys have a least and a greatest length', () =>
      withBackend(async (backend) => {
        assert.throws(() => backend.put('authUsers', bytes(''), bytes('')), isReason('emptyKey'))
        assert.throws(
          () => backend.put('authUsers', Buffer.alloc(KEY_BYTES_MAX + 1), bytes('')),
          isReason('keyTooLong'),
        )
        const longest = Buffer.alloc(KEY_BYTES_MAX, 'x')
        backend.put('authUsers', longest, bytes('1'))
        await backend.commit()
        assert.equal(text(backend.get('authUsers', longest)), '1')
      }))

    void test('a closed backend takes nothing', async () => {
      const place = createPlace()
      const backend = place.open(defaults)
      await backend.close()
      await backend.close()
      assert.throws(() => backend.put('meta', bytes('a'), bytes('')), isReason('closed'))
      await assert.rejects(backend.commit(), isReason('closed'))
      await assert.rejects(backend.exportBbolt(), isReason('closed'))
      await assert.rejects(backend.install('/nowhere/db'), isReason('closed'))
      place.remove()
    })
  })
}
