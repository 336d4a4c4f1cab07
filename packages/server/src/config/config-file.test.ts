import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BareFileError, readConfigFile } from './config-file.ts'

const undecodable = (what: string, place: string): string =>
  `error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${what} into Go ${place}`
const badYaml = (what: string): string => `error converting YAML to JSON: yaml: ${what}`

for (const { yaml, error } of [
  { yaml: 'name: [a', error: badYaml("line 1: did not find expected ',' or ']'") },
  { yaml: 'name: x\nfoo: [a\nb: c\n', error: badYaml("line 2: did not find expected ',' or ']'") },
  { yaml: 'name: x\nfoo: {a\nb: c\n', error: badYaml("line 2: did not find expected ',' or '}'") },
  { yaml: 'name: a\n b: c\n', error: badYaml('line 2: mapping values are not allowed in this context') },
  { yaml: 'a: b: c', error: badYaml('mapping values are not allowed in this context') },
  { yaml: '\tname: x', error: badYaml('found character that cannot start any token') },
  { yaml: 'name: @x', error: badYaml('found character that cannot start any token') },
  { yaml: 'name: x\n\tfoo: a\n', error: badYaml('line 2: found a tab character that violates indentation') },
  { yaml: 'name: "unclosed', error: badYaml('found unexpected end of stream') },
  { yaml: "name: 'x\nb: c\n", error: badYaml('line 3: found unexpected end of stream') },
  { yaml: 'name: x\n- b', error: badYaml('line 1: did not find expected key') },
  { yaml: 'a: *b', error: badYaml("unknown anchor 'b' referenced") },
  { yaml: 'a: &a [*a]', error: badYaml("anchor 'a' value contains itself") },
  { yaml: 'just a string', error: undecodable('string', 'value of type embed.configYAML') },
  { yaml: '- a', error: undecodable('array', 'value of type embed.configYAML') },
  { yaml: 'name: 123', error: undecodable('number', 'struct field configYAML.name of type string') },
  { yaml: 'name: yes', error: undecodable('bool', 'struct field configYAML.name of type string') },
  { yaml: 'name: {a: 1}', error: undecodable('object', 'struct field configYAML.name of type string') },
  { yaml: 'name: [1]', error: undecodable('array', 'struct field configYAML.name of type string') },
  {
    yaml: 'snapshot-count: x',
    error: undecodable('string', 'struct field configYAML.snapshot-count of type uint64'),
  },
  {
    yaml: 'snapshot-count: "5"',
    error: undecodable('string', 'struct field configYAML.snapshot-count of type uint64'),
  },
  {
    yaml: 'snapshot-count: -1',
    error: undecodable('number -1', 'struct field configYAML.snapshot-count of type uint64'),
  },
  {
    yaml: 'snapshot-count: 1.5',
    error: undecodable('number 1.5', 'struct field configYAML.snapshot-count of type uint64'),
  },
  {
    yaml: 'max-snapshots: -1',
    error: undecodable('number -1', 'struct field configYAML.max-snapshots of type uint'),
  },
  {
    yaml: 'quota-backend-bytes: 99999999999999999999',
    error: undecodable(
      'number 100000000000000000000',
      'struct field configYAML.quota-backend-bytes of type int64',
    ),
  },
  {
    yaml: 'enable-v2: "true"',
    error: undecodable('string', 'struct field configYAML.enable-v2 of type bool'),
  },
  { yaml: 'enable-v2: 1', error: undecodable('number', 'struct field configYAML.enable-v2 of type bool') },
  {
    yaml: 'log-outputs: stderr',
    error: undecodable('string', 'struct field configYAML.log-outputs of type []string'),
  },
  {
    yaml: 'cipher-suites: a,b',
    error: undecodable('string', 'struct field configYAML.cipher-suites of type []string'),
  },
  {
    yaml: 'backend-batch-interval: 5ms',
    error: undecodable('string', 'struct field configYAML.backend-batch-interval of type time.Duration'),
  },
  {
    yaml: 'client-transport-security:\n  client-cert-auth: 5',
    error: undecodable(
      'number',
      'struct field securityConfig.client-transport-security.client-cert-auth of type bool',
    ),
  },
  {
    yaml: 'client-transport-security: 5',
    error: undecodable(
      'number',
      'struct field configYAML.client-transport-security of type embed.securityConfig',
    ),
  },
  { yaml: 'initial-cluster-state: odd', error: 'unexpected clusterState "odd"' },
]) {
  void test(`${JSON.stringify(yaml)} is refused`, () =>
    assert.throws(() => readConfigFile(yaml), { name: 'ConfigError', message: error }))
}

const BAD_URL = 'URL scheme must be http, https, unix, or unixs: bad'
for (const { yaml, error } of [
  { yaml: 'listen-client-urls: bad', error: `unexpected error setting up listen-client-urls: ${BAD_URL}` },
  { yaml: 'listen-peer-urls: bad', error: `unexpected error setting up listen-peer-urls: ${BAD_URL}` },
  {
    yaml: 'advertise-client-urls: bad',
    error: `unexpected error setting up advertise-peer-urls: ${BAD_URL}`,
  },
  {
    yaml: 'initial-advertise-peer-urls: bad',
    error: `unexpected error setting up initial-advertise-peer-urls: ${BAD_URL}`,
  },
  { yaml: 'listen-metrics-urls: bad', error: `unexpected error setting up listen-metrics-urls: ${BAD_URL}` },
  {
    yaml: 'discovery-fallback: odd',
    error: 'unexpected error setting up discovery-fallback flag: invalid value',
  },
  { yaml: 'proxy: odd', error: 'unexpected error setting up proxyFlag: invalid value' },
]) {
  void test(`${yaml} is refused without a log line around it`, () =>
    assert.throws(
      () => readConfigFile(yaml),
      (thrown) => thrown instanceof BareFileError && thrown.message === error,
    ))
}

void test('every form of value arrives', () => {
  const values = readConfigFile(`
NAME: m1                         # a key in another case
snapshot-count: 1e3
max-wals: 0x10
max-snapshots: 010
enable-v2: yes
pre-vote: off
backend-batch-interval: 5000000  # nanoseconds
listen-client-urls: http://127.0.0.1:2, http://127.0.0.1:1
log-outputs: [stderr, a.log, stderr]
cipher-suites: [TLS_RSA_WITH_AES_128_CBC_SHA]
host-whitelist: a,b
client-transport-security: &tls
  cert-file: c.pem
  allowed-hostname: [a, b]
peer-transport-security: *tls
socket-options: { reuse-port: true }
experimental-snapshot-catch-up-entries: 7
feature-gates: CompactHashCheck=true
unknown: { key: 1 }
name: m1
name: m2
`)
  assert.equal(values.get('name'), 'm2')
  assert.equal(values.get('snapshot-count'), 1000)
  assert.equal(values.get('max-wals'), 16)
  assert.equal(values.get('max-snapshots'), 8)
  assert.equal(values.get('enable-v2'), true)
  assert.equal(values.get('pre-vote'), false)
  assert.equal(values.get('backend-batch-interval'), 5)
  assert.deepEqual(
    values.get('listen-client-urls').map((url) => url.port),
    [1, 2],
  )
  assert.deepEqual(values.get('log-outputs'), ['stderr', 'a.log'])
  assert.deepEqual(values.get('cipher-suites'), ['TLS_RSA_WITH_AES_128_CBC_SHA'])
  assert.deepEqual(values.get('host-whitelist'), ['a', 'b'])
  assert.equal(values.get('cert-file'), 'c.pem')
  assert.equal(values.get('peer-cert-file'), 'c.pem')
  assert.deepEqual(values.get('client-cert-allowed-hostname'), ['a', 'b'])
  assert.equal(values.get('socket-reuse-port'), true)
  assert.equal(values.get('snapshot-catchup-entries'), 7)
  assert.deepEqual(values.get('feature-gates'), { CompactHashCheck: true })
})

void test('a key without a value, and an address list without an address, count as absent', () => {
  const values = readConfigFile(
    'name:\nsnapshot-count: ~\nlisten-client-urls: ""\nclient-transport-security:\n',
  )
  assert.equal(values.isGiven('name'), false)
  assert.equal(values.isGiven('snapshot-count'), false)
  assert.equal(values.isGiven('listen-client-urls'), false)
  assert.equal(readConfigFile('').isGiven('name'), false)
})
