import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkPeerUrls } from './peer-urls.ts'

const form = 'URL address does not have the form "host:port": '
const scheme = 'URL scheme must be http, https, unix, or unixs: '

for (const { url, text } of [
  { url: 'http://a:1' },
  { url: ' http://a:1' },
  { url: 'HTTPS://u@a:1' },
  { url: 'http://[::1]:2380' },
  { url: 'http://a:1?x' },
  { url: 'unix://localhost:1' },
  { url: 'unix://x' },
  { url: 'bad', text: `${scheme}bad` },
  { url: '', text: scheme },
  { url: 'ftp://a:1', text: `${scheme}ftp://a:1` },
  { url: 'localhost:2380', text: `${scheme}localhost:2380` },
  { url: '127.0.0.1:2380', text: 'parse "127.0.0.1:2380": first path segment in URL cannot contain colon' },
  { url: '://a', text: 'parse "://a": missing protocol scheme' },
  { url: 'http://', text: `${form}http://` },
  { url: 'http://a', text: `${form}http://a` },
  { url: 'http://::1:1', text: `${form}http://::1:1` },
  { url: 'http://a:b', text: 'parse "http://a:b": invalid port ":b" after host' },
  { url: 'http://%zz:1', text: 'parse "http://%zz:1": invalid URL escape "%zz"' },
  { url: 'http://a b:1', text: 'parse "http://a b:1": invalid character " " in host name' },
  { url: 'http://a:1/', text: 'URL must not contain a path: http://a:1/' },
]) {
  void test(`peer URL ${JSON.stringify(url)} is ${text === undefined ? 'taken' : 'refused'}`, () => {
    if (text === undefined) checkPeerUrls([url])
    else assert.throws(() => checkPeerUrls(['http://a:1', url]), { message: text })
  })
}

void test('no peer URL is refused', () => {
  assert.throws(() => checkPeerUrls([]), { message: 'no valid URLs given' })
})
