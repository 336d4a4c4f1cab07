import assert from 'node:assert/strict'
import { test } from 'node:test'
import { authorityOf, parseEndpoint } from './endpoint.ts'
import { prefixEnd } from './kv.ts'

for (const { text, tls, host, port, authority } of [
  { text: '127.0.0.1:2379', tls: undefined, host: '127.0.0.1', port: 2379, authority: '127.0.0.1:2379' },
  { text: 'http://localhost:2379', tls: false, host: 'localhost', port: 2379, authority: 'localhost:2379' },
  {
    text: 'https://example.com:443/',
    tls: true,
    host: 'example.com',
    port: 443,
    authority: 'example.com:443',
  },
  { text: 'http://[::1]:2379', tls: false, host: '::1', port: 2379, authority: '[::1]:2379' },
  { text: 'host', tls: undefined, host: 'host', port: 0, authority: 'host:0' },
]) {
  void test(`endpoint ${text}`, () => {
    const endpoint = parseEndpoint(text)
    assert.deepEqual(endpoint, { text, tls, host, port, path: undefined })
    assert.equal(authorityOf(endpoint), authority)
  })
}

for (const { text, path, tls } of [
  { text: 'unix:///tmp/etcd.sock', path: '/tmp/etcd.sock', tls: false },
  { text: 'unix://etcd.sock:0', path: 'etcd.sock:0', tls: false },
  { text: 'unixs:/tmp/etcd.sock', path: '/tmp/etcd.sock', tls: true },
]) {
  void test(`endpoint ${text}`, () => {
    const endpoint = parseEndpoint(text)
    assert.deepEqual([endpoint.path, endpoint.tls], [path, tls])
  })
}

for (const { name, prefix, end } of [
  { name: 'the last byte is raised', prefix: [1, 2], end: [1, 3] },
  { name: 'bytes that cannot be raised are dropped', prefix: [1, 0xff, 0xff], end: [2] },
  { name: 'above nothing but the highest bytes there is no end', prefix: [0xff, 0xff], end: [0] },
  { name: 'an empty prefix has no end', prefix: [], end: [0] },
])
  void test(name, () => assert.deepEqual([...prefixEnd(Uint8Array.from(prefix))], end))
