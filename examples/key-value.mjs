// The key-value calls of the TypeScript client. Run a member (npm start), then: node examples/key-value.mjs
import { etcdserverpb } from '@etcd-ts/api'
import { Client } from '@etcd-ts/client'

const client = await Client.connect({ endpoints: [process.env.ENDPOINT ?? 'localhost:2379'] })
const bytes = (text) => Buffer.from(text)
const text = (value) => Buffer.from(value).toString()

await client.kv.put({ key: bytes('config/color'), value: bytes('blue') })
const { kvs } = await client.kv.range({ key: bytes('config/color') })
console.log(`config/color is ${text(kvs[0].value)} since revision ${kvs[0].modRevision}`)

// Change it only if nobody else has: the compare and the put are one step.
const changed = await client.kv.txn({
  compare: [
    {
      key: bytes('config/color'),
      target: etcdserverpb.CompareTarget.MOD,
      targetUnion: { case: 'modRevision', value: BigInt(kvs[0].modRevision) },
    },
  ],
  success: [
    { request: { case: 'requestPut', value: { key: bytes('config/color'), value: bytes('green') } } },
  ],
})
console.log(changed.succeeded ? 'changed to green' : 'somebody else was faster')

// All keys of a prefix, two at a time.
for (const name of ['size', 'shape'])
  await client.kv.put({ key: bytes(`config/${name}`), value: bytes('any') })
let key = bytes('config/')
for (;;) {
  const page = await client.kv.range({ key, rangeEnd: bytes('config0'), limit: 2n })
  for (const kv of page.kvs) console.log(`${text(kv.key)} = ${text(kv.value)}`)
  if (!page.more) break
  key = Buffer.concat([page.kvs.at(-1).key, Buffer.from([0])])
}
client.close()
