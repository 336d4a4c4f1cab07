import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSecure, isUnix, parseUrl, parseUrlList, socketPath, splitHostPort } from './urls.ts'

for (const { text, hostname, port } of [
  { text: 'http://127.0.0.1:2379', hostname: '127.0.0.1', port: 2379 },
  { text: 'https://[::1]:2379', hostname: '::1', port: 2379 },
  { text: 'http://localhost:', hostname: 'localhost', port: 0 },
  { text: 'http://:2379', hostname: '', port: 2379 },
  { text: 'unix://m1:1', hostname: 'm1', port: 1 },
  { text: 'unix://localhost:12379', hostname: 'localhost', port: 12379 },
]) {
  void test(`${text} is taken apart`, () => {
    const url = parseUrl(text)
    assert.deepEqual({ text: url.text, hostname: url.hostname, port: url.port }, { text, hostname, port })
  })
}

void test('the scheme is compared in lower case, blanks around are cut', () => {
  assert.equal(parseUrl(' HTTP://127.0.0.1:1 ').text, 'http://127.0.0.1:1')
})

void test('a unix URL names a file in the working folder, or anywhere', () => {
  assert.equal(socketPath(parseUrl('unix://localhost:2380')), 'localhost:2380')
  assert.equal(socketPath(parseUrl('unixs:///run/etcd/peer.sock')), '/run/etcd/peer.sock')
  assert.ok(isUnix(parseUrl('unixs://m1:1')) && isSecure(parseUrl('unixs://m1:1')))
})

void test('a list is sorted and rid of doubles; an empty text is an empty list', () => {
  const list = parseUrlList('http://b:2,http://a:1, http://b:2')
  assert.deepEqual(
    list.map((url) => url.text),
    ['http://a:1', 'http://b:2'],
  )
  assert.deepEqual(parseUrlList(''), [])
})

for (const { text, error } of [
  { text: 'bad', error: 'URL scheme must be http, https, unix, or unixs: bad' },
  { text: 'not a url', error: 'URL scheme must be http, https, unix, or unixs: not a url' },
  { text: 'ftp://x:1', error: 'URL scheme must be http, https, unix, or unixs: ftp://x:1' },
  { text: 'http://127.0.0.1:1,', error: 'URL scheme must be http, https, unix, or unixs: ' },
  { text: '127.0.0.1:2379', error: 'parse "127.0.0.1:2379": first path segment in URL cannot contain colon' },
  { text: ':1', error: 'parse ":1": missing protocol scheme' },
  { text: 'http://127.0.0.1', error: 'URL address does not have the form "host:port": http://127.0.0.1' },
  { text: 'http:127.0.0.1:1', error: 'URL address does not have the form "host:port": http:127.0.0.1:1' },
  { text: 'http://::1:2379', error: 'URL address does not have the form "host:port": http://::1:2379' },
  { text: 'http://127.0.0.1:1/x', error: 'URL must not contain a path: http://127.0.0.1:1/x' },
  { text: 'http://127.0.0.1:1/', error: 'URL must not contain a path: http://127.0.0.1:1/' },
  { text: 'http://127.0.0.1:abc', error: 'parse "http://127.0.0.1:abc": invalid port ":abc" after host' },
  { text: 'http://[::1:1', error: 'parse "http://[::1:1": missing \']\' in host' },
  { text: 'http://a b:1', error: 'parse "http://a b:1": invalid character " " in host name' },
  { text: 'http://a%zz:1', error: 'parse "http://a%zz:1": invalid URL escape "%zz"' },
  { text: 'http://a\x01:1', error: 'parse "http://a\\x01:1": net/url: invalid control character in URL' },
]) {
  void test(`${JSON.stringify(text)} is refused`, () =>
    assert.throws(() => parseUrlList(text), { name: 'ConfigError', message: error }))
}

void test('host and port come apart as in Go', () => {
  assert.deepEqual(splitHostPort('[::1]:1'), { host: '::1', port: '1' })
  for (const text of ['a', 'a:b:1', '[::1]', '[::1', 'a]:1', '[a]b:1', '[a[b]:1'])
    assert.equal(splitHostPort(text), undefined)
})
