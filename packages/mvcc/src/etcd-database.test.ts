// Databases that etcd itself wrote, as a test of what this package makes of their rows: the index, and the hashes that etcd
// gives of them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { type Bucket, bucketNames } from '@etcd-ts/backend'
import { TestStore, allKeys } from './store-fixture.ts'

/** Of a member of 3.4.23: puts, deletes, a txn, leases, a compaction at 4, users and roles. gzip, base64. */
const DATABASE_3_4 = Buffer.from(
  'H4sIAAAAAAAC/+2aT2zbVBzHbedP3TR/XhJNMpMQlVchgarUz0mTNuoBaTAE6yTUqUUDts5JHCVr/nSxk7ZDSBMHQFy4AFfQTpxggLhwQL1x4cYF' +
    'duHEYYfedwM7/jl5flKbTqu6avt9qhf76+/zz7HjvOr7HEHwCMPy4EH8QHJXiKclIch/QBR0BpZffZzIvvDFzA0BQRAEQRAEQRAEQZAzhzgh/4cm' +
    '5P8sLM/1/vpT/T39CK8ogiAIgiAIgiAIgpw9pNEyNpoP+NZpEafNgv4F5gdeB33gtGmnvQb6ZdHTd0F/47xMOcuLoP8WvXmEUsjToYhXvwH+zYjX' +
    '/1fQ6aggpJjja1Hv+D84zWgZvfakkzH6duPwPuJo3Z3jiDtNhn3WzEHTanY7YEeG27ot0zpuMfcNJJ3WozGpRzOyLGVE47xYcQutW2bv2IXc0111' +
    'C3W7dizsvmZW5nRjjmpzl+qFDs1dW157V7+8W9SvGKtv7Gzkdvbe7twySsVGd31r7Wp9wervvLdUMRda2uDqlb3b54c1VKHa6lu22Tvu20jCnQC7' +
    'bThn4FyefK6Q07bMvcOrpMdVnIKuUkC/AjoJeonTb3J6Q/R+Y+LPT30AfgL0LU7vcvoTTn/J6Xucvs/p3zj9B6cfcO/3Iacfcdq9oJv+WkzaoiSi' +
    'RGbFV6UB1T6/f/f7f/e/+/EC2FG2o06iSnTYUYeNU6ydJ1PK1NDO87bo2IWRXeBtyXarg5CZmhYlsiI7O4kD2DbNujqZVqZZN8a6eRJTYqw7w7oF' +
    'MqPMsG6cdRdJXImzboJ1iyShJFg3ybolklSSrJti3SWSUlKsS1h3mRCFsG567IYsqpG0kmbtTMCmJKNkWDsbsHWSVbJDu2Ualnn4d2f8i6tZGJri' +
    'oOcYfaFyL7q+r8jyZ/5NQ1ZgW0we3Uik1jbblccYd9x2x2nLWqlGa4UKrZcWjXxR/1Bt1tQy1QqULlKN6rqWX9KoVtL1eXXbNHvra6uWWn5fbdj2' +
    'dnlhgeqlnOb80bJOqaar1+fVjtE21bJaM+tGv2Wr82q11TQ79pE7UvX6R3ACmz2z3R2YtUlDf9u0jcP7jGezNThZ2R+HBG+c8Ueuy4I3t+3qardj' +
    'NZ3xr2NvNjs1cxe6vFhvdppWw6xd7La3jart/PcAJzz65K2q4/dbR/ZBEARBEAQ5VUJPMf/79Va4/H8QCeb/OOZ/zP+Y/zH/Pxf5P/gN5PI+ZnvM' +
    '9giCIAiCIE9E+Anyv+9HIf/fAb3H5f+fIf/HRU//JAWf/6dCwfy/Hwrm/39CTyf/S8fI/+MDPna+v3SC+f7Ukn1ktP6OEEz2TSGYdHc5/SmnvxaC' +
    'yf6sJmN8XPtsRLokRjoEQRAEQRDkuSdygvnf1y9B/vd1EfK/r98Sg/VvcP37YjD/u89sw6BPM/+LJ5n/PSamdI8jI7jHhFjqx6sJcTLQ7WRCG4Ig' +
    'CIIgCIIgCHIW+R985R57AGAAAA==',
  'base64',
)

/** Of a member of 3.5.9: a put, a range delete, a compaction at 3, users, auth on and off. gzip, base64. */
const DATABASE_3_5 = Buffer.from(
  'H4sIAAAAAAAC/+2ay28bRRzH12vHSfMAt5GgVEWqlnBBqe31M7ZAQrhJldSOwMRpyyvdeMfJ0n2Y3bGbtvRQBBI3hHhJXKi4gAQSXBBHOHFB4siB' +
    'K63UHvIHcILZ7NhZL3WdQAOJ+v1Ys7u/3fF4dmb28PmtBcEjwvebv41viu5BzItFoZc/OVEeH+H7j96amHzsvbHXBAAAAAAAAAAAAOw7QgP8PzzA' +
    '/w/z/dno93cyteEcRhQAAAAAAAAAANh/iN39aDcfcIOVIVZO8Pg7nh+4wONDbHPId13i8aed+mwzzPbXeXxS9PIIn/H4B9Frf5bHf4he/fd5fJ1V' +
    'ftjX/o2w9/uPskDRFdsYdDNKi673r7P9lwb3B8aE7STIcVbGWRnhbcyayqpO1K3jKmlrjmaZvGp065ylE2cnnak5xHZ22iOR98DlGB/6Mitmc1Q0' +
    'm5I4ErIti45G3O2Rp6dSypScnJqxK3ainKvMl7N0bil7sXF+Sa20tEKpVl0rVVtvXK4U6PxL6QpdPl22cnO5KxVZ0Y5ttSEJdb3lUGLvtIMP8fXh' +
    '8oTgzf2TrPBmltm9soFKx7PxpGpdMtdsRSVXJarYa4SebHtXpaIkTUvEG2Cp2FB0h1y7SC7378N2JiopeHmncR4/E4gXBO9/Kb7clbjSORoNKTHx' +
    'qHgi9FRolZ8K+y7WY+GjYfeiyk9Fuhcp+6pOFIf072OoexzjkzjByuJPn0fP//zrIyMff/3NL7d+/PL3xdjtYYMYq/dcFL1tueUFVuSZZH1GyaTS' +
    '2UwhQ+q5q5LGhk/Op1MFWS7k09lCPpUr5JOpaalJiF2rlh2p+LK0TmmzmEjIqXw8yT5yMSXLmZT06rRkKgZhk6GShtLSqXSN92vFJobVJuqg1W0Q' +
    'qvSvM9Q9fp6vkzSP3/SNkcvbfM46+cRPWJn0xV/xB8GtX7fMxotUoWxRtS224Nw7vMsIsJtjz561wuasTTpLjH3X0dgqNemKZqpkgzf/eEMzNWed' +
    'qCXLaCp1yp72vy0Op86ut/R71mG9MQIjBAAAAAAAwP4hfID8/6YA/4f/w/8Pjv9HusfPBvxfD/g/Dfj+u3vr+8ch8wAAAAAA4EEksgv/P8XjTaHX' +
    '/6Pc/z/k8QcB/x/j/l/h8ZmA/78T8P+JgP9Pc///9v74f69Y+X0/4Pjh/9bx5wY5fnLpuUT89cRc4nT11IKxLm+Ys+cy5Iy5rLWvzFxKVIyNs0q+' +
    'pJ6LO/M1Y8Gk1fmsXTogdt87KX6b72vvcPFduXhv/sTv4q8EXFzdW/c+DK8GAAAAAADg/2FoF/5/Qfh37/87/m8E/P+LgP8nAv6/eH/9f9fv/0N3' +
    'yQ1E9tn7/3+UGzhQ7/+RIXhgMgSTyBAAAAAAAACwF/wFqPw4UABgAAA=',
  'base64',
)

const PAGE_HEADER_BYTES = 16
const META_PAGES = [0, 1]
const BRANCH = 1
const BUCKET_ENTRY = 1

/** The rows of each bucket of a bbolt file: just enough of the format for small whole files of etcd. */
function readBbolt(file: Buffer): Map<string, [Buffer, Buffer][]> {
  const number = (at: number): number => Number(file.readBigUInt64LE(at))
  const pageSize = file.readUInt32LE(PAGE_HEADER_BYTES + 8)
  const heads = META_PAGES.map((page) => page * pageSize + PAGE_HEADER_BYTES)
  const newest = heads.reduce((a, b) => (number(a + 48) > number(b + 48) ? a : b))

  const entriesIn = (
    page: number,
  ): { flags: number; key: Buffer; valueAt: number; valueLength: number }[] => {
    const isBranch = (file.readUInt16LE(page + 8) & BRANCH) !== 0
    const elements = Array.from(
      { length: file.readUInt16LE(page + 10) },
      (_, i) => page + PAGE_HEADER_BYTES + 16 * i,
    )
    if (isBranch) return elements.flatMap((at) => entriesIn(number(at + 8) * pageSize))
    return elements.map((at) => {
      const keyAt = at + file.readUInt32LE(at + 4)
      const valueAt = keyAt + file.readUInt32LE(at + 8)
      return {
        flags: file.readUInt32LE(at),
        key: file.subarray(keyAt, valueAt),
        valueAt,
        valueLength: file.readUInt32LE(at + 12),
      }
    })
  }

  const buckets = new Map<string, [Buffer, Buffer][]>()
  for (const { flags, key, valueAt } of entriesIn(number(newest + 16) * pageSize)) {
    assert.equal(flags, BUCKET_ENTRY)
    const root = number(valueAt)
    const entries = entriesIn(root === 0 ? valueAt + PAGE_HEADER_BYTES : root * pageSize)
    buckets.set(
      key.toString(),
      entries.map((entry) => [entry.key, file.subarray(entry.valueAt, entry.valueAt + entry.valueLength)]),
    )
  }
  return buckets
}

for (const { name, packed, revision, compacted, hashKv, hash } of [
  {
    name: '3.4.23',
    packed: DATABASE_3_4,
    revision: 19,
    compacted: 4,
    hashKv: 3_740_464_584,
    hash: undefined,
  },
  {
    name: '3.5.9',
    packed: DATABASE_3_5,
    revision: 4,
    compacted: 3,
    hashKv: 172_925_378,
    hash: 1_988_770_468,
  },
]) {
  void test(`the database of an etcd ${name}`, async (context) => {
    const buckets = readBbolt(gunzipSync(packed))
    assert.deepEqual([...buckets.keys()].sort(), [...bucketNames])
    const opened = await TestStore.open(context)
    for (const [bucket, rows] of buckets) {
      for (const [key, value] of rows) opened.backend.put(bucket as Bucket, key, value)
    }
    await opened.reopen()
    const { store } = opened
    assert.deepEqual([store.revision, store.compactedRevision], [revision, compacted])
    const expected = { hash: hashKv, revision, compactRevision: compacted }
    assert.deepEqual(await store.hashKv(0n), expected)
    assert.deepEqual(await store.hashKv(BigInt(revision)), expected)
    // 3.4 leaves fewer rows of the bucket meta out of the hash of everything.
    if (hash !== undefined) assert.equal(await store.hash(), hash)
    const rows = buckets.get('key') ?? []
    for (const row of store.range(allKeys).kvs) assert.ok(rows.some(([, value]) => value.equals(row)))
  })
}
