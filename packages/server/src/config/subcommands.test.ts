import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runSubcommand } from './subcommands.ts'

for (const { args, code, stdout = '', stderr = '' } of [
  { args: ['gateway'], code: 0, stdout: 'gateway related command' },
  { args: ['gateway', 'nope'], code: 0, stdout: 'gateway related command' },
  { args: ['gateway', 'help', 'start'], code: 0, stdout: 'gateway related command' },
  { args: ['gateway', '-h'], code: 0, stdout: 'gateway related command' },
  { args: ['gateway', '--help', 'start'], code: 0, stdout: 'gateway related command' },
  { args: ['gateway', 'start', '-h'], code: 0, stdout: 'start a TCP proxy' },
  { args: ['grpc-proxy', 'start', '--help'], code: 0, stdout: 'start a gRPC proxy' },
  { args: ['gateway', '--nope'], code: 1, stderr: 'Error: unknown flag: --nope' },
  { args: ['grpc-proxy', 'start', '--nope'], code: 1, stderr: 'Error: unknown flag: --nope' },
  { args: ['gateway', 'start', '-x'], code: 1, stderr: "Error: unknown shorthand flag: 'x' in -x" },
  {
    args: ['gateway', 'start', '--endpoints'],
    code: 1,
    stderr: 'Error: flag needs an argument: --endpoints',
  },
  {
    args: ['gateway', 'start', '--retry-delay', 'x'],
    code: 1,
    stderr: 'Error: invalid argument "x" for "--retry-delay" flag: time: invalid duration "x"',
  },
  {
    args: ['gateway', 'start', '--endpoints', 'a', '--listen-addr', 'bad'],
    code: 1,
    stdout: 'error parsing endpoint "a"',
  },
  {
    args: ['gateway', 'start', '--listen-addr', 'bad'],
    code: 1,
    stdout: 'failed to validate listen address: bad',
  },
  {
    args: ['gateway', 'start', 'extra', '--listen-addr=bad'],
    code: 1,
    stdout: 'failed to validate listen address: bad',
  },
  {
    args: ['gateway', 'start', '--listen-addr', '0.0.0.0'],
    code: 1,
    stdout: 'failed to validate listen address: 0.0.0.0',
  },
  {
    args: ['gateway', 'start', '--endpoints', 'http://127.0.0.1:1'],
    code: 1,
    stderr: 'etcd gateway start is not supported by this release',
  },
  {
    args: ['grpc-proxy', 'start', '--debug'],
    code: 1,
    stderr: 'etcd grpc-proxy start is not supported by this release',
  },
] as const satisfies readonly { args: readonly string[]; code: number; stdout?: string; stderr?: string }[]) {
  void test(`etcd ${args.join(' ')}`, () => {
    const [command, ...rest] = args
    const [ended, written] = runSubcommand(command, rest)
    assert.equal(ended, code)
    assert.equal(written.stdout?.split('\n')[0] ?? '', stdout)
    assert.equal(written.stderr?.split('\n')[0] ?? '', stderr)
  })
}
