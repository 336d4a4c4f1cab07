import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type Member,
  attributesJson,
  isPromotion,
  memberJson,
  parseAttributes,
  parseMember,
  raftAttributesJson,
} from './member.ts'

const full: Member = {
  id: 10411510122038010722n,
  peerUrls: ['http://127.0.0.1:21102'],
  isLearner: true,
  name: 'default',
  clientUrls: ['http://127.0.0.1:21101'],
}

void test('a member is written as etcd writes it, with its id to the last digit', () => {
  assert.equal(
    memberJson(full),
    '{"id":10411510122038010722,"peerURLs":["http://127.0.0.1:21102"],"isLearner":true,"name":"default","clientURLs":["http://127.0.0.1:21101"]}',
  )
  assert.deepEqual(parseMember(memberJson(full)), full)
})

void test('what is empty is left out', () => {
  const bare: Member = { id: 7n, peerUrls: [], isLearner: false, name: '', clientUrls: [] }
  assert.equal(memberJson(bare), '{"id":7,"peerURLs":null}')
  assert.equal(attributesJson(bare), '{}')
  assert.equal(raftAttributesJson(bare), '{"peerURLs":null}')
  assert.deepEqual(parseMember('{"id":7,"peerURLs":null}'), bare)
})

void test('markup in a name is escaped as Go escapes it', () => {
  assert.equal(
    attributesJson({ name: '<a&"b">', clientUrls: [] }),
    '{"name":"\\u003ca\\u0026\\"b\\"\\u003e"}',
  )
  assert.equal(parseAttributes('{"name":"\\u003ca\\u0026\\"b\\"\\u003e"}').name, '<a&"b">')
})

void test('a promotion is told from an addition', () => {
  assert.equal(isPromotion('{"id":7,"peerURLs":null,"isPromote":true}'), true)
  assert.equal(isPromotion('{"id":7,"peerURLs":["http://a:1"]}'), false)
})

void test('a context without an id is refused', () => {
  assert.throws(() => parseMember('{"peerURLs":[]}'), /without an id/)
  assert.throws(() => parseMember('{"id":"7"}'), /without an id/)
  assert.throws(() => parseMember('nonsense'))
})
