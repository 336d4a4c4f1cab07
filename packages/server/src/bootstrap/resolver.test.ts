import assert from 'node:assert/strict'
import { type Socket, createSocket } from 'node:dgram'
import { once } from 'node:events'
import { Resolver as DnsResolver } from 'node:dns/promises'
import { after, before, test } from 'node:test'
import { queryServices, systemResolver } from './resolver.ts'

/** Priority, weight, port and target of each record. */
type Record = readonly [number, number, number, string]

const records: Readonly<{ [name: string]: readonly Record[] }> = {
  '_etcd-server._tcp.example.test': [
    [20, 1, 2380, 'late.example.test'],
    [10, 1, 2381, 'light.example.test'],
    [10, 5, 2382, 'heavy.example.test'],
  ],
}

const HEADER_BYTES = 12
const TYPE_SRV = 33
const CLASS_IN = 1
const RESPONSE = 0x8180
const NO_SUCH_NAME = 3

function encodeName(name: string): Buffer {
  const labels = name.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`))
  return Buffer.concat([...labels, Buffer.of(0)])
}

function decodeName(packet: Buffer): { name: string; end: number } {
  const labels: string[] = []
  let at = HEADER_BYTES
  for (let length = packet.readUInt8(at); length > 0; length = packet.readUInt8(at)) {
    labels.push(packet.toString('latin1', at + 1, at + 1 + length))
    at += 1 + length
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 }
}

/** Answers a question as a name server does: RFC 1035, and RFC 2782 for the records. */
function answerTo(packet: Buffer): Buffer {
  const { name, end } = decodeName(packet)
  const found = records[name] ?? []
  const header = Buffer.alloc(HEADER_BYTES)
  packet.copy(header, 0, 0, 2)
  header.writeUInt16BE(found.length > 0 ? RESPONSE : RESPONSE | NO_SUCH_NAME, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(found.length, 6)
  const answers = found.map(([priority, weight, port, target]) => {
    const data = Buffer.concat([Buffer.alloc(6), encodeName(target)])
    data.writeUInt16BE(priority, 0)
    data.writeUInt16BE(weight, 2)
    data.writeUInt16BE(port, 4)
    const head = Buffer.alloc(12)
    head.writeUInt16BE(0xc000 | HEADER_BYTES, 0)
    head.writeUInt16BE(TYPE_SRV, 2)
    head.writeUInt16BE(CLASS_IN, 4)
    head.writeUInt32BE(60, 6)
    head.writeUInt16BE(data.length, 10)
    return Buffer.concat([head, data])
  })
  return Buffer.concat([header, packet.subarray(HEADER_BYTES, end + 4), ...answers])
}

let server: Socket
let resolver: DnsResolver

before(async () => {
  server = createSocket('udp4', (packet, from) => {
    server.send(answerTo(packet), from.port, from.address)
  })
  server.bind(0, '127.0.0.1')
  await once(server, 'listening')
  resolver = new DnsResolver({ timeout: 5_000, tries: 1 })
  resolver.setServers([`127.0.0.1:${server.address().port}`])
})
after(() => server.close())

void test('services come by priority, and then by weight', async () => {
  assert.deepEqual(await queryServices(resolver, '_etcd-server._tcp.example.test'), [
    { target: 'heavy.example.test', port: 2382 },
    { target: 'light.example.test', port: 2381 },
    { target: 'late.example.test', port: 2380 },
  ])
})

void test('a name that nobody serves', () =>
  assert.rejects(queryServices(resolver, '_etcd-server-ssl._tcp.example.test'), {
    message: 'lookup _etcd-server-ssl._tcp.example.test: no such host',
  }))

void test('an address is its own, a host has one, and what is no name has none', async () => {
  assert.equal(await systemResolver.address('10.1.2.3'), '10.1.2.3')
  assert.equal(await systemResolver.address('::1'), '::1')
  assert.equal(await systemResolver.address('localhost'), '127.0.0.1')
  await assert.rejects(systemResolver.address('no such host'), { message: /^lookup no such host: / })
})
