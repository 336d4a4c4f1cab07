import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Environment } from './environment.ts'
import { parseServerArguments, type ServerArguments } from './server-arguments.ts'
import type { ServerConfig } from './server-config.ts'

const noFile = (path: string): string => {
  throw new Error(`ENOENT: no such file or directory, open '${path}'`)
}
const noRoute = (): string => {
  throw new Error('could not find default route')
}

interface Given {
  readonly args?: readonly string[]
  readonly env?: Environment
  readonly file?: string
  readonly host?: string
}

function parse({ args = [], env = {}, file, host }: Given): ServerArguments {
  const readFile = file === undefined ? noFile : (): string => file
  return parseServerArguments(args, env, readFile, host === undefined ? noRoute : () => host)
}

function run(given: Given): ServerConfig {
  const result = parse(given)
  assert.equal(result.kind, 'run', JSON.stringify(result))
  assert.ok(result.kind === 'run')
  return result.config
}

const messages = (result: ServerArguments): string[] => result.notes.map((note) => note.message)

const CLIENTS = [
  '--listen-client-urls',
  'http://127.0.0.1:1',
  '--advertise-client-urls',
  'http://127.0.0.1:1',
]

// ------------------------------------------------------------------------------------------------ flags as such

for (const { args, error } of [
  { args: ['--nope'], error: 'flag provided but not defined: -nope' },
  { args: ['-nope', 'x'], error: 'flag provided but not defined: -nope' },
  { args: ['--debug'], error: 'flag provided but not defined: -debug' },
  { args: ['--log-package-levels', 'x'], error: 'flag provided but not defined: -log-package-levels' },
  { args: ['--ca-file', 'x'], error: 'flag provided but not defined: -ca-file' },
  { args: ['--name'], error: 'flag needs an argument: -name' },
  { args: ['---x'], error: 'bad flag syntax: ---x' },
  { args: ['-=x'], error: 'bad flag syntax: -=x' },
  { args: ['--=x'], error: 'bad flag syntax: --=x' },
  { args: ['--enable-v2=maybe'], error: 'invalid boolean value "maybe" for -enable-v2: parse error' },
  { args: ['--enable-v2='], error: 'invalid boolean value "" for -enable-v2: parse error' },
  { args: ['--snapshot-count', 'x'], error: 'invalid value "x" for flag -snapshot-count: parse error' },
  { args: ['--snapshot-count='], error: 'invalid value "" for flag -snapshot-count: parse error' },
  {
    args: ['--snapshot-count', '18446744073709551616'],
    error: 'invalid value "18446744073709551616" for flag -snapshot-count: value out of range',
  },
  { args: ['--max-snapshots', '-1'], error: 'invalid value "-1" for flag -max-snapshots: parse error' },
  {
    args: ['--heartbeat-interval', '-1'],
    error: 'invalid value "-1" for flag -heartbeat-interval: parse error',
  },
  {
    args: ['--quota-backend-bytes', 'lots'],
    error: 'invalid value "lots" for flag -quota-backend-bytes: parse error',
  },
  {
    args: ['--quota-backend-bytes', '9223372036854775808'],
    error: 'invalid value "9223372036854775808" for flag -quota-backend-bytes: value out of range',
  },
  {
    args: ['--max-concurrent-streams', 'x'],
    error:
      'invalid value "x" for flag -max-concurrent-streams: strconv.ParseUint: parsing "x": invalid syntax',
  },
  {
    args: ['--max-concurrent-streams', '4294967296'],
    error:
      'invalid value "4294967296" for flag -max-concurrent-streams: strconv.ParseUint: parsing "4294967296": value out of range',
  },
  {
    args: ['--grpc-keepalive-min-time', '5'],
    error: 'invalid value "5" for flag -grpc-keepalive-min-time: parse error',
  },
  {
    args: ['--listen-client-urls', 'bad'],
    error:
      'invalid value "bad" for flag -listen-client-urls: URL scheme must be http, https, unix, or unixs: bad',
  },
  {
    args: ['--cors', 'http://a.example'],
    error:
      'invalid value "http://a.example" for flag -cors: URL address does not have the form "host:port": http://a.example',
  },
  {
    args: ['--initial-cluster-state', 'old'],
    error: 'invalid value "old" for flag -initial-cluster-state: invalid value',
  },
  {
    args: ['--discovery-fallback', 'maybe'],
    error: 'invalid value "maybe" for flag -discovery-fallback: invalid value',
  },
  { args: ['--proxy', 'sometimes'], error: 'invalid value "sometimes" for flag -proxy: invalid value' },
  {
    args: ['--v2-deprecation', 'never'],
    error: 'invalid value "never" for flag -v2-deprecation: invalid value "never"',
  },
  {
    args: ['--feature-gates', 'X'],
    error: 'invalid value "X" for flag -feature-gates: missing bool value for X',
  },
  {
    args: ['--feature-gates', 'X=true'],
    error: 'invalid value "X=true" for flag -feature-gates: unrecognized feature gate: X',
  },
  {
    args: ['--feature-gates', 'CompactHashCheck=y'],
    error:
      'invalid value "CompactHashCheck=y" for flag -feature-gates: invalid value of CompactHashCheck=y, err: strconv.ParseBool: parsing "y": invalid syntax',
  },
]) {
  void test(`etcd ${args.join(' ')} ends with code 2, the error and the usage`, () => {
    const result = parse({ args })
    assert.ok(result.kind === 'exit')
    assert.equal(result.code, 2)
    assert.deepEqual(result.stderr.split('\n', 2), [error, 'Usage:'])
    assert.equal(result.stdout, '')
    assert.deepEqual(result.notes, [])
  })
}

void test('one dash or two, with or without an equals sign; booleans only with one', () => {
  const config = run({
    args: ['-name', 'a', '--data-dir=d=1', '-enable-v2', '--pre-vote=f', '--max-wals', '0x7'],
  })
  assert.deepEqual(
    [config.name, config.dataDir, config.enableV2, config.preVote, config.maxWals],
    ['a', 'd=1', true, false, 7],
  )
})

void test('an argument that looks like a flag is a value where one is needed', () => {
  assert.equal(run({ args: ['--name', '--enable-v2'] }).name, '--enable-v2')
})

void test('the last value counts', () => {
  assert.equal(run({ args: ['--name', 'a', '--name', 'b'] }).name, 'b')
})

for (const [args, stray] of [
  [['stray'], 'stray'],
  [['--name', 'x', 'stray'], 'stray'],
  [['--enable-v2', 'true'], 'true'],
  [['--', '--name'], '--name'],
  [['-'], '-'],
  [['--version', 'x'], 'x'],
  [['--config', '/x'], '/x'],
] as const) {
  void test(`etcd ${args.join(' ')} has the stray argument ${stray}`, () => {
    const result = parse({ args })
    assert.ok(result.kind === 'exit')
    assert.equal(result.code, 1)
    const last = result.notes.at(-1)
    assert.deepEqual(last, {
      level: 'warn',
      message: 'failed to verify flags',
      fields: { error: `'${stray}' is not a valid flag` },
    })
  })
}

for (const args of [['-h'], ['--help'], ['--help=true'], ['--name', 'x', '-help', 'stray']]) {
  void test(`etcd ${args.join(' ')} prints usage and flags`, () => {
    const result = parse({ args })
    assert.ok(result.kind === 'exit')
    assert.equal(result.code, 0)
    assert.match(result.stderr, /^Usage:\n\n {2}etcd \[flags\]\n/)
    assert.match(result.stdout, /^Member:\n {2}--name 'default'\n {4}\S/)
    assert.match(result.stdout, /\n\nUnsafe:\n {2}--force-new-cluster 'false'\n/)
  })
}

void test('flags of etcd 0.4 are accepted with any value and a warning', () => {
  const result = parse({ args: ['--force=x', '-vv'], env: { ETCD_SNAPSHOT: 'x' } })
  assert.equal(result.kind, 'run')
  assert.deepEqual(
    result.notes
      .filter((note) => note.level === 'warn' && 'flag' in note.fields)
      .map((note) => note.fields['flag']),
    ['force', 'vv', 'snapshot'],
  )
})

// ------------------------------------------------------------------------------------------------ precedence

void test('a variable counts where no flag is given, else the default', () => {
  const config = run({
    args: ['--name', 'flag'],
    env: { ETCD_SNAPSHOT_COUNT: '7', ETCD_DATA_DIR: '', ETCD_ENABLE_V2: 'true' },
  })
  assert.deepEqual(
    [config.name, config.snapshotCount, config.enableV2, config.dataDir],
    ['flag', 7, true, 'flag.etcd'],
  )
})

void test('variables used and unknown ones are noted, and secrets are not shown', () => {
  const result = parse({
    args: ['--discovery-user', 'root:pw', '--discovery-token=t', '--discovery-endpoints=e:1'],
    env: {
      ETCD_NAME: 'a',
      ETCD_DISCOVERY_PASSWORD: 'hidden',
      ETCD_NOSUCH: '1',
      ETCD_ROOT_PASSWORD: 'hidden',
      PATH: '/bin',
    },
  })
  assert.equal(result.kind, 'run')
  assert.deepEqual(
    result.notes.filter((note) => note.message.includes('environment variable')).map((note) => note.fields),
    [
      { 'variable-name': 'ETCD_DISCOVERY_PASSWORD', 'variable-value': '<redacted>' },
      { 'variable-name': 'ETCD_NAME', 'variable-value': 'a' },
      { 'environment-variable': 'ETCD_NOSUCH=1' },
      { 'environment-variable': 'ETCD_ROOT_PASSWORD=<redacted>' },
    ],
  )
  const running = result.notes.find((note) => note.message === 'Running: ')
  assert.deepEqual(running?.fields['args'], [
    'etcd',
    '--discovery-user',
    '<redacted>',
    '--discovery-token=t',
    '--discovery-endpoints=e:1',
  ])
})

for (const value of ['x', '']) {
  void test(`a variable beside its flag ends the process, also with the value ${JSON.stringify(value)}`, () => {
    const result = parse({ args: ['--name', 'x'], env: { ETCD_NAME: value } })
    assert.ok(result.kind === 'exit')
    assert.equal(result.code, 1)
    assert.deepEqual(result.notes.at(-1), {
      level: 'fatal',
      message:
        'conflicting environment variable is shadowed by corresponding command-line flag (either unset environment variable or disable flag))',
      fields: { 'environment-variable': 'ETCD_NAME' },
    })
  })
}

void test('the version that images put into ETCD_VERSION is not taken for the flag', () => {
  const result = parse({ env: { ETCD_VERSION: '3.5.9' } })
  assert.equal(result.kind, 'run')
  assert.ok(messages(result).includes('unrecognized environment variable'))
})

for (const { name, given } of [
  {
    name: 'by its flag',
    given: { args: ['--config-file', 'c.yml', '--name', 'ignored'], env: { ETCD_NAME: 'x' } },
  },
  {
    name: 'by its variable',
    given: { args: ['--name', 'ignored'], env: { ETCD_CONFIG_FILE: 'c.yml', ETCD_NOSUCH: '1' } },
  },
]) {
  void test(`a configuration file named ${name} decides everything`, () => {
    const result = parse({ ...given, file: 'snapshot-count: 9' })
    assert.ok(result.kind === 'run')
    assert.deepEqual([result.config.name, result.config.snapshotCount], ['default', 9])
    assert.deepEqual(
      messages(result).filter((message) => message.includes('variable')),
      [
        'loaded server configuration, other configuration command line flags and environment variables will be ignored if provided',
      ],
    )
  })
}

void test('a file may set where to listen and leave what to advertise at its default', () => {
  const config = run({ args: ['--config-file', 'c'], file: 'listen-client-urls: http://127.0.0.1:1' })
  assert.equal(config.advertiseClientUrls[0]?.text, 'http://localhost:2379')
})

void test('a bad URL in a file is printed alone', () => {
  const result = parse({ args: ['--config-file', 'c'], file: 'listen-client-urls: bad' })
  assert.ok(result.kind === 'exit')
  assert.equal(result.code, 1)
  assert.equal(
    result.stderr,
    'unexpected error setting up listen-client-urls: URL scheme must be http, https, unix, or unixs: bad\n',
  )
})

// ------------------------------------------------------------------------------------------------ rules

/** Cases refused before the start (`warn`, exit 1). */
for (const { args = [], env, file, error } of [
  {
    env: { ETCD_LISTEN_CLIENT_URLS: 'bad' },
    error:
      'invalid value "bad" for ETCD_LISTEN_CLIENT_URLS: URL scheme must be http, https, unix, or unixs: bad',
  },
  { env: { ETCD_ENABLE_V2: 'maybe' }, error: 'invalid value "maybe" for ETCD_ENABLE_V2: parse error' },
  { args: ['--config-file', 'missing.yml'], error: 'open missing.yml: no such file or directory' },
  {
    args: ['--config-file', 'c'],
    file: 'name: [a',
    error: "error converting YAML to JSON: yaml: line 1: did not find expected ',' or ']'",
  },
  {
    args: ['--config-file', 'c'],
    file: 'initial-cluster-state: odd',
    error: 'unexpected clusterState "odd"',
  },
  {
    args: ['--config-file', 'c'],
    file: 'heartbeat-interval: 0',
    error: '--heartbeat-interval must be >0 (set to 0ms)',
  },
  {
    args: ['--config-file', 'c'],
    file: 'log-outputs: [default, stderr]',
    error: 'multi logoutput for "default" is not supported yet',
  },
  {
    args: ['--config-file', 'c'],
    file: 'initial-cluster: a=http://b:1\ndiscovery-srv: z',
    error:
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery" or "discovery-srv"',
  },
  {
    args: ['--listen-client-urls', 'http://example.com:1', '--advertise-client-urls', 'http://example.com:1'],
    error: 'expected IP in URL for binding (http://example.com:1)',
  },
  {
    args: ['--listen-peer-urls', 'http://example.com:1'],
    error: 'expected IP in URL for binding (http://example.com:1)',
  },
  {
    args: ['--listen-metrics-urls', 'http://example.com:1'],
    error: 'expected IP in URL for binding (http://example.com:1)',
  },
  {
    args: ['--listen-client-http-urls', 'http://example.com:1'],
    error: 'expected IP in URL for binding (http://example.com:1)',
  },
  { args: ['--listen-peer-urls', 'http://:2380'], error: 'expected IP in URL for binding (http://:2380)' },
  {
    args: ['--listen-peer-urls', 'http://[fe80::1%25eth0]:1'],
    error: 'expected IP in URL for binding (http://[fe80::1%25eth0]:1)',
  },
  {
    args: ['--initial-advertise-peer-urls', 'http://:1,http://b:2'],
    error:
      '--initial-advertise-peer-urls "http://:1,http://b:2" must be "host:port" (unexpected empty host (http://:1))',
  },
  {
    args: ['--advertise-client-urls', 'http://:1'],
    error: '--advertise-client-urls "http://:1" must be "host:port" (unexpected empty host (http://:1))',
  },
  {
    args: ['--initial-cluster', 'default=http://a:1', '--discovery', 'http://d:1/x'],
    error:
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery" or "discovery-srv"',
  },
  {
    args: ['--discovery-srv', 'example.com', '--discovery', 'http://d:1/x'],
    error:
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery" or "discovery-srv"',
  },
  {
    args: ['--discovery-srv', 'example.com', '--discovery-endpoints', 'e:1', '--discovery-token', 't'],
    error:
      'multiple discovery or bootstrap flags are set. Choose one of "initial-cluster", "discovery", "discovery-endpoints" or "discovery-srv"',
  },
  { args: ['--discovery-token', 't'], error: 'both --discovery-token and --discovery-endpoints must be set' },
  {
    args: ['--discovery-endpoints', 'e:1'],
    error: 'both --discovery-token and --discovery-endpoints must be set',
  },
  {
    args: ['--discovery-endpoints', 'e:1,', '--discovery-token', 't'],
    error: '--discovery-endpoints must not contain empty endpoints',
  },
  { args: ['--heartbeat-interval', '0'], error: '--heartbeat-interval must be >0 (set to 0ms)' },
  { args: ['--election-timeout', '0'], error: '--election-timeout must be >0 (set to 0ms)' },
  {
    args: ['--election-timeout', '400'],
    error: '--election-timeout[400ms] should be at least as 5 times as --heartbeat-interval[100ms]',
  },
  {
    args: ['--election-timeout', '50001'],
    error: '--election-timeout[50001ms] is too long, and should be set less than 50000ms',
  },
  { args: ['--auto-compaction-mode', 'weekly'], error: 'unknown auto-compaction-mode "weekly"' },
  { args: ['--logger', 'syslog'], error: 'unknown logger option "syslog"' },
  { args: ['--logger', 'capnslog'], error: '--logger=capnslog is removed in v3.5' },
  { args: ['--log-format', 'xml'], error: 'unknown log format: xml, supported values json, console' },
  { args: ['--log-outputs', 'stderr,default'], error: 'multi logoutput for "default" is not supported yet' },
  ...['stderr', 'default', 'a.log,b.log'].map((outputs) => ({
    args: ['--enable-log-rotation', '--log-outputs', outputs],
    error: '--log-outputs requires a single file path when --log-rotate-config-json is defined',
  })),
  ...[
    ['', 'improperly formatted log rotation config: unexpected end of JSON input'],
    ['x', "improperly formatted log rotation config: invalid character 'x' looking for beginning of value"],
    [
      '{"maxsize": "a"}',
      'invalid log rotation config: json: cannot unmarshal string into Go struct field logRotationConfig.maxsize of type int',
    ],
    [
      '{"compress": 1}',
      'invalid log rotation config: json: cannot unmarshal number into Go struct field logRotationConfig.compress of type bool',
    ],
  ].map(([json = '', error = '']) => ({
    args: ['--enable-log-rotation', '--log-outputs', 'a.log', '--log-rotation-config-json', json],
    error,
  })),
  {
    args: ['--tls-min-version', 'TLS1.1'],
    error: 'unexpected TLS version "TLS1.1" (must be one of: TLS1.2, TLS1.3)',
  },
  {
    name: 'a highest cluster version in three parts',
    args: ['--cluster-version-max=3.4.0'],
    error: '--cluster-version-max "3.4.0" must be a version such as "3.4"',
  },
  {
    args: ['--tls-min-version', 'TLS1.3', '--tls-max-version', 'TLS1.2'],
    error: 'min version (TLS1.3) is greater than max version (TLS1.2)',
  },
  {
    args: ['--tls-min-version', 'TLS1.3', '--cipher-suites', 'TLS_RSA_WITH_AES_128_CBC_SHA'],
    error: 'cipher suites cannot be configured when only TLS1.3 is enabled',
  },
  {
    args: ['--experimental-enable-lease-checkpoint-persist'],
    error:
      'setting experimental-enable-lease-checkpoint-persist requires experimental-enable-lease-checkpoint',
  },
  {
    args: ['--feature-gates', 'LeaseCheckpointPersist=true'],
    error: 'enabling feature gate LeaseCheckpointPersist requires enabling feature gate LeaseCheckpoint',
  },
  {
    args: ['--feature-gates', 'CompactHashCheck=true', '--experimental-compact-hash-check-enabled=false'],
    error:
      'cannot specify both flags: --experimental-compact-hash-check-enabled=false and --feature-gates=CompactHashCheck=true at the same time, please just use --feature-gates=CompactHashCheck=true',
  },
  {
    args: ['--experimental-compact-hash-check-time', '0'],
    error: '--experimental-compact-hash-check-time must be >0 (set to 0s)',
  },
  { args: ['--compact-hash-check-time', '0'], error: '--compact-hash-check-time must be >0 (set to 0s)' },
  {
    args: [
      '--experimental-enable-distributed-tracing',
      '--experimental-distributed-tracing-sampling-rate',
      '1000001',
    ],
    error:
      'distributed tracing configurition is not valid: (tracing sampling rate must be between 0 and 1000000)',
  },
] as readonly (Given & { error: string })[]) {
  void test(`refused: ${[...args, ...Object.keys(env ?? {}), file ?? ''].join(' ')}`, () => {
    const result = parse({
      args,
      ...(env === undefined ? {} : { env }),
      ...(file === undefined ? {} : { file }),
    })
    assert.ok(result.kind === 'exit')
    assert.equal(result.code, 1)
    assert.deepEqual(result.notes.at(-1), {
      level: 'warn',
      message: 'failed to verify flags',
      fields: { error },
    })
    assert.equal(messages(result).filter((message) => message === 'Running: ').length, 1)
    assert.equal(result.stdout + result.stderr, '')
  })
}

/** Cases that etcd notices when it starts (`fatal`, exit 1). */
for (const { args, error } of [
  {
    args: ['--auto-compaction-retention', 'x'],
    error: 'error parsing CompactionRetention: time: invalid duration "x"',
  },
  {
    args: ['--auto-compaction-retention', '-5'],
    error: 'error parsing CompactionRetention: time: missing unit in duration "-5"',
  },
  { args: ['--cipher-suites', 'NO_SUCH_SUITE'], error: 'unexpected TLS cipher suite "NO_SUCH_SUITE"' },
  ...[
    'jwt',
    'bad',
    'jwt,a',
    'simple,a',
    'jwt,sign-method=FOO',
    'jwt,sign-method=RS256,ttl=x',
    'jwt,sign-method=RS256,sign-method=x',
  ].map((token) => ({ args: ['--auth-token', token], error: 'auth: invalid auth options' })),
  {
    args: ['--listen-client-urls', 'https://127.0.0.1:1', '--advertise-client-urls', 'https://127.0.0.1:1'],
    error:
      'TLS key/cert (--cert-file, --key-file) must be provided for client url https://127.0.0.1:1 with HTTPS scheme',
  },
  {
    args: [
      '--listen-client-urls',
      'https://127.0.0.1:1',
      '--advertise-client-urls',
      'https://127.0.0.1:1',
      '--cert-file',
      'a',
    ],
    error: 'KeyFile and CertFile must both be present[key: , cert: a]',
  },
  {
    args: ['--listen-peer-urls', 'https://127.0.0.1:1', '--peer-key-file', 'k'],
    error: 'KeyFile and CertFile must both be present[key: k, cert: ]',
  },
  {
    args: ['--listen-peer-urls', 'https://127.0.0.1:1'],
    error: 'cannot listen on TLS for 127.0.0.1:1: KeyFile and CertFile are not presented',
  },
]) {
  void test(`refused at the start: ${args.join(' ')}`, () => {
    const result = parse({ args })
    assert.ok(result.kind === 'exit')
    assert.equal(result.code, 1)
    assert.deepEqual(result.notes.at(-1), { level: 'fatal', message: 'discovery failed', fields: { error } })
  })
}

void test('clients to listen to need addresses to advertise', () => {
  for (const given of [
    { args: CLIENTS.slice(0, 2) },
    { env: { ETCD_LISTEN_CLIENT_URLS: 'http://127.0.0.1:1' } },
  ]) {
    const result = parse(given)
    const error = '--advertise-client-urls is required when --listen-client-urls is set explicitly'
    assert.deepEqual(result.notes.slice(-2), [
      { level: 'warn', message: 'failed to verify flags', fields: { error } },
      { level: 'warn', message: 'advertise client URLs are not set', fields: { error } },
    ])
  }
})

void test('a log level that is none ends with code 2', () => {
  const result = parse({ args: ['--log-level', 'loud'] })
  assert.ok(result.kind === 'exit')
  assert.equal(result.code, 2)
  assert.equal(result.notes.at(-1)?.fields['error'], 'unrecognized level: "loud"')
})

// ------------------------------------------------------------------------------------------------ what comes out

void test('without arguments everything has its default', () => {
  const result = parse({})
  assert.ok(result.kind === 'run')
  const { config } = result
  assert.deepEqual(messages(result), ['Running: ', "'data-dir' was empty; using default"])
  assert.deepEqual(
    [
      config.name,
      config.dataDir,
      config.initialCluster,
      config.initialClusterState,
      config.initialClusterToken,
    ],
    ['default', 'default.etcd', 'default=http://localhost:2380', 'new', 'etcd-cluster'],
  )
  assert.deepEqual(
    [
      config.heartbeatIntervalMs,
      config.electionTimeoutMs,
      config.snapshotCount,
      config.snapshotCatchupEntries,
    ],
    [100, 1000, 100_000, 5000],
  )
  assert.deepEqual(
    [
      config.quotaBackendBytes,
      config.maxRequestBytes,
      config.maxTxnOps,
      config.backendBatchIntervalMs,
      config.backendBatchLimit,
    ],
    [2_147_483_648, 1_572_864, 128, 100, 10_000],
  )
  assert.deepEqual(
    [config.grpcKeepAliveMinTimeMs, config.grpcKeepAliveIntervalMs, config.grpcKeepAliveTimeoutMs],
    [5_000, 7_200_000, 20_000],
  )
  assert.deepEqual(
    [
      config.preVote,
      config.enableV2,
      config.enableGrpcGateway,
      config.strictReconfigCheck,
      config.extensiveMetrics,
    ],
    [true, false, true, true, false],
  )
  assert.deepEqual(
    [config.cors, config.hostWhitelist, config.tlsCiphers, config.tlsMaxVersion],
    [['*'], ['*'], [], null],
  )
  assert.deepEqual(config.autoCompaction, { mode: 'off' })
  assert.deepEqual(config.log, { level: 'info', format: 'json', outputs: ['default'], rotation: null })
  assert.deepEqual(config.authToken, { kind: 'simple' })
  assert.equal(config.features.TxnModeWriteWithSharedBuffer, true)
  assert.equal(config.features.CompactHashCheck, false)
})

for (const { mode, retention, result } of [
  { mode: 'periodic', retention: '1', result: { mode: 'periodic', retentionMs: 3_600_000 } },
  { mode: 'periodic', retention: '90s', result: { mode: 'periodic', retentionMs: 90_000 } },
  { mode: 'periodic', retention: '0', result: { mode: 'off' } },
  { mode: 'revision', retention: '1000', result: { mode: 'revision', retentionRevisions: 1000 } },
  { mode: 'revision', retention: '1us', result: { mode: 'revision', retentionRevisions: 1000 } },
  { mode: '', retention: '5', result: { mode: 'off' } },
]) {
  void test(`auto compaction ${mode} ${retention}`, () =>
    assert.deepEqual(
      run({ args: ['--auto-compaction-mode', mode, '--auto-compaction-retention', retention] })
        .autoCompaction,
      result,
    ))
}

for (const { quota, bytes } of [
  { quota: '0', bytes: 2_147_483_648 },
  { quota: '16777216', bytes: 16_777_216 },
  { quota: '-1', bytes: -1 },
]) {
  void test(`a quota of ${quota} means ${bytes}`, () =>
    assert.equal(run({ args: ['--quota-backend-bytes', quota] }).quotaBackendBytes, bytes))
}

void test('an older name counts unless the newer one is given as well', () => {
  assert.equal(run({ args: ['--experimental-compaction-batch-limit', '5'] }).compactionBatchLimit, 5)
  const both = ['--experimental-compaction-batch-limit', '5', '--compaction-batch-limit', '6']
  assert.equal(run({ args: both }).compactionBatchLimit, 6)
})

void test('older flags and stages turn features on', () => {
  assert.equal(run({ args: ['--experimental-initial-corrupt-check'] }).features.InitialCorruptCheck, true)
  const { features } = run({ args: ['--feature-gates', 'AllAlpha=true,PriorityRequest=false'] })
  assert.deepEqual(
    [features.CompactHashCheck, features.PriorityRequest, features.FastLeaseKeepAlive],
    [true, false, true],
  )
})

void test('timeouts between members are raised to five seconds', () => {
  const config = run({ args: ['--raft-read-timeout', '1s', '--raft-write-timeout', '7s'] })
  assert.deepEqual([config.raftReadTimeoutMs, config.raftWriteTimeoutMs], [5_000, 7_000])
})

void test('cipher suites come out in the names of OpenSSL, with and without _SHA256', () => {
  const suites = [
    'TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305',
    'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256',
    'TLS_RSA_WITH_RC4_128_SHA',
  ]
  assert.deepEqual(run({ args: ['--cipher-suites', suites.join(',')] }).tlsCiphers, [
    'ECDHE-RSA-CHACHA20-POLY1305',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
  ])
})

void test('a token of type jwt comes with its options', () => {
  assert.deepEqual(
    run({ args: ['--auth-token', 'jwt,pub-key=a,priv-key=b,sign-method=ES256,ttl=1s'] }).authToken,
    {
      kind: 'jwt',
      signMethod: 'ES256',
      publicKeyFile: 'a',
      privateKeyFile: 'b',
      ttlMs: 1000,
    },
  )
})

void test('TLS for plain addresses is warned about', () => {
  const result = parse({ args: ['--cert-file', 'c', '--key-file', 'k', '--client-cert-auth'] })
  assert.equal(result.kind, 'run')
  assert.deepEqual(
    result.notes
      .filter((note) => note.level === 'warn' && 'client-url' in note.fields)
      .map((note) => note.message),
    [
      'scheme is HTTP while key and cert files are present; ignoring key and cert files',
      'scheme is HTTP while --client-cert-auth is enabled; ignoring client cert auth for this URL',
    ],
  )
})

void test('certificates made by the member need no files', () => {
  const args = [
    '--auto-tls',
    '--listen-client-urls',
    'https://127.0.0.1:1',
    '--advertise-client-urls',
    'https://127.0.0.1:1',
  ]
  assert.equal(run({ args }).clientTls.auto, true)
})

void test('log settings', () => {
  const config = run({
    args: [
      '--log-level',
      'WARN',
      '--log-outputs',
      'a.log',
      '--enable-log-rotation',
      '--log-rotation-config-json',
      '{"MaxAge": 3, "compress": true}',
    ],
  })
  assert.deepEqual(config.log, {
    level: 'warn',
    format: 'json',
    outputs: ['a.log'],
    rotation: { sizeMegabytesMax: 100, ageDaysMax: 3, backupsMax: 0, localTime: false, compress: true },
  })
})

// ------------------------------------------------------------------------------------------------ addresses

void test('a name of its own puts the member into the list under it', () => {
  assert.equal(run({ args: ['--name', 'm1'] }).initialCluster, 'm1=http://localhost:2380')
  const two = ['--name', 'm1', '--initial-advertise-peer-urls', 'http://a:1,http://b:1']
  assert.equal(run({ args: two }).initialCluster, 'm1=http://a:1,m1=http://b:1')
  assert.equal(
    run({ args: ['--initial-advertise-peer-urls', 'http://a:1'] }).initialCluster,
    'default=http://localhost:2380',
  )
})

void test('discovery empties the default list of members', () => {
  assert.equal(run({ args: ['--name', 'm1', '--discovery', 'http://d:1/x'] }).initialCluster, '')
  assert.equal(run({ args: ['--discovery-srv', 'example.com'] }).initialCluster, '')
})

void test('a member that listens on all addresses advertises that of the default route', () => {
  const args = [
    '--name',
    'm1',
    '--listen-peer-urls',
    'http://0.0.0.0:7001',
    '--listen-client-urls',
    'http://0.0.0.0:4001',
    '--advertise-client-urls',
    'http://localhost:2379',
  ]
  const result = parse({ args, host: '10.1.2.3' })
  assert.ok(result.kind === 'run')
  assert.equal(result.config.advertisePeerUrls[0]?.text, 'http://10.1.2.3:7001')
  assert.equal(result.config.advertiseClientUrls[0]?.text, 'http://10.1.2.3:4001')
  assert.equal(result.config.initialCluster, 'm1=http://10.1.2.3:7001')
  assert.deepEqual(
    messages(result).filter((message) => message.includes('default host')),
    ['detected default host for advertise'],
  )
})

void test('without a default route the defaults stay', () => {
  const result = parse({ args: ['--listen-peer-urls', 'http://0.0.0.0:7001'] })
  assert.ok(result.kind === 'run')
  assert.equal(result.config.advertisePeerUrls[0]?.text, 'http://localhost:2380')
  assert.ok(result.notes.some((note) => note.message === 'failed to detect default host'))
})

void test('an IPv6 address of the default route stands in brackets', () => {
  const config = run({ args: ['--listen-peer-urls', 'http://0.0.0.0:7001'], host: 'fd00::1' })
  assert.equal(config.advertisePeerUrls[0]?.text, 'http://[fd00::1]:7001')
})
