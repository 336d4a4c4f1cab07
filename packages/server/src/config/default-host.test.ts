import assert from 'node:assert/strict'
import { networkInterfaces } from 'node:os'
import { test } from 'node:test'
import { detectDefaultHost } from './default-host.ts'

const skip = process.platform !== 'linux'
const loopback = Object.keys(networkInterfaces()).find((name) => name.startsWith('lo')) ?? 'lo'
const HEADER = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n'
const row = (name: string, destination: string, mask: string): string =>
  `${name}\t${destination}\t010200C0\t0003\t0\t0\t0\t${mask}\t0\t0\t0\n`

void test('the host is the address of the interface of the default route', { skip }, () => {
  const table = HEADER + row('other', '000200C0', '00FFFFFF') + row(loopback, '00000000', '00000000')
  assert.equal(
    detectDefaultHost(() => table),
    '127.0.0.1',
  )
})

void test('without a default route there is no host', { skip }, () => {
  assert.throws(() => detectDefaultHost(() => HEADER), { message: 'could not find default route' })
  const none = (): string => {
    throw new Error('ENOENT')
  }
  assert.throws(() => detectDefaultHost(none), { message: 'could not find default route' })
})
