import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  authpb,
  errorReason,
  errorTable,
  etcdserverpb,
  gatewayMethods,
  healthpb,
  leasepb,
  membershippb,
  mvccpb,
  raftpb,
  services,
  snappb,
  v3electionpb,
  v3lockpb,
  walpb,
  type AnyCodec,
} from './index.ts'

// The facts are recorded from etcd itself and are not part of the repository.
const root = path.resolve(fileURLToPath(import.meta.url), '../../../..')
const shared = path.resolve(process.env['ETCD_TS_SHARED'] ?? path.join(root, '../shared'))
const facts = path.join(shared, 'facts')
const absent =
  existsSync(facts) || process.env['CI'] === 'true' ? false : `no facts in ${shared}: set ETCD_TS_SHARED`

function load<Shape>(name: string): Shape {
  return JSON.parse(readFileSync(path.join(facts, name), 'utf8')) as Shape
}

interface Life {
  readonly since?: string
  readonly removed_in?: string
}

interface MessageFacts extends Life {
  readonly fields?: readonly (Life & {
    readonly number: number
    readonly name: string
    readonly type: string
    readonly type_ref?: string
    readonly label: string
    readonly oneof?: string
    readonly json_alt_input?: string
  })[]
}

interface PackageFacts {
  readonly messages?: Readonly<Record<string, MessageFacts>>
  readonly enums?: Readonly<
    Record<string, Life & { readonly values: readonly (Life & { name: string; number: number })[] }>
  >
  readonly services?: Readonly<
    Record<
      string,
      {
        readonly methods: readonly {
          readonly name: string
          readonly grpc_path: string
          readonly request: string
          readonly response: string
          readonly client_streaming: boolean
          readonly server_streaming: boolean
        }[]
      }
    >
  >
}

// Everything of the 3.5 line, and what came later.
const alive = (life: Life) => life.removed_in === undefined || life.removed_in >= '3.6'

const packages: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  authpb,
  etcdserverpb,
  'grpc.health.v1': healthpb,
  leasepb,
  membershippb,
  mvccpb,
  raftpb,
  snappb,
  v3electionpb,
  v3lockpb,
  walpb,
}

const isCodec = (value: unknown): value is AnyCodec =>
  typeof value === 'object' && value !== null && 'encodedSize' in value && 'fields' in value

const codecs = new Map(
  Object.values(packages)
    .flatMap((module) => Object.values(module).filter(isCodec))
    .map((codec) => [codec.name, codec]),
)

void describe('messages.json', { skip: absent }, () => {
  const { packages: recorded } = absent
    ? { packages: {} }
    : load<{ packages: Readonly<Record<string, PackageFacts>> }>('messages.json')

  void test('every message, field number, name, type and label', () => {
    const ours = new Map(
      Array.from(codecs.values(), (codec) => [
        codec.name,
        codec.fields.map((field) => ({
          number: field.number,
          name: field.name,
          type: field.type,
          label: field.label,
          oneof: field.oneof?.name,
        })),
      ]),
    )
    const theirs = new Map(
      Object.entries(recorded).flatMap(([packageName, { messages = {} }]) =>
        Object.entries(messages)
          .filter(([, message]) => alive(message))
          .map(([name, { fields = [] }]) => [
            `${packageName}.${name}`,
            fields
              .filter(alive)
              .map((field) => ({
                number: field.number,
                name: field.name,
                type: field.type_ref ?? mapValue(packageName, field.type),
                label: field.label,
                oneof: field.oneof,
              }))
              .sort((a, b) => a.number - b.number),
          ]),
      ),
    )
    assert.deepEqual(new Map([...ours].sort(byKey)), new Map([...theirs].sort(byKey)))
    assert.ok(theirs.size > 130)
  })

  void test('every other name that JSON input may use', () => {
    for (const [packageName, { messages = {} }] of Object.entries(recorded)) {
      for (const [name, { fields = [] }] of Object.entries(messages)) {
        for (const field of fields) {
          if (!alive(field) || field.json_alt_input === undefined) continue
          const ours = codecs
            .get(`${packageName}.${name}`)
            ?.fields.find(({ number }) => number === field.number)
          assert.equal(ours?.property, field.json_alt_input, `${packageName}.${name}.${field.name}`)
        }
      }
    }
  })

  void test('every enum and value', () => {
    const used = new Map<string, Readonly<Record<string, number>>>()
    for (const codec of codecs.values()) {
      for (const field of codec.fields) if (field.values !== undefined) used.set(field.type, field.values)
    }
    let count = 0
    for (const [packageName, { enums = {} }] of Object.entries(recorded)) {
      for (const [name, { values }] of Object.entries(enums)) {
        const wanted = Object.fromEntries(values.filter(alive).map((value) => [value.name, value.number]))
        assert.deepEqual({ ...used.get(`${packageName}.${name}`) }, wanted, `${packageName}.${name}`)
        count++
      }
    }
    assert.equal(used.size, count)
  })

  void test('every service and method', () => {
    const theirs = Object.entries(recorded).flatMap(([packageName, { services: list = {} }]) =>
      Object.entries(list).flatMap(([name, { methods }]) =>
        methods.map((method) => ({
          service: `${packageName}.${name}`,
          name: method.name,
          path: method.grpc_path,
          request: `${packageName}.${method.request}`,
          response: `${packageName}.${method.response}`,
          clientStreaming: method.client_streaming,
          serverStreaming: method.server_streaming,
        })),
      ),
    )
    const ours = Object.entries(services).flatMap(([service, methods]) =>
      Object.entries(methods).map(([name, method]) => ({
        service,
        name,
        ...method,
        request: method.request.name,
        response: method.response.name,
      })),
    )
    const byPath = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : 1)
    assert.deepEqual(ours.sort(byPath), theirs.sort(byPath))
  })
})

/** `map<string,Value>` is the type of the value here. */
function mapValue(packageName: string, type: string): string {
  const value = /^map<string,(\w+)>$/.exec(type)?.[1]
  return value === undefined ? type : `${packageName}.${value}`
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}

interface ErrorFacts {
  readonly symbol: string
  readonly message: string
  readonly grpc_code_number: number
  readonly code_history?: readonly { readonly from: string; readonly number: number }[]
  readonly code_on_the_wire?: { readonly number: number }
}

interface OtherErrorFacts {
  readonly message: string
  readonly number: number
  readonly when: string
}

void describe('errors.json', { skip: absent }, () => {
  const recorded: { v3: readonly ErrorFacts[]; other_grpc_errors: readonly OtherErrorFacts[] } = absent
    ? { v3: [], other_grpc_errors: [] }
    : load('errors.json')

  void test('every v3 error has its text, and its code of release 3.5', () => {
    for (const error of recorded.v3) {
      const reason = errorReason(error.message)
      assert.ok(reason, error.symbol)
      const atRelease = error.code_history?.filter(({ from }) => from < '3.6').at(-1)?.number
      const code = error.code_on_the_wire?.number ?? atRelease ?? error.grpc_code_number
      assert.equal(errorTable[reason].code, code, error.symbol)
    }
    assert.ok(recorded.v3.length > 60)
  })

  void test('nothing else is in the table but the errors without a declared code', () => {
    const known = new Map<string, number>(recorded.v3.map(({ message }) => [message, -1]))
    for (const { message, number } of recorded.other_grpc_errors) known.set(message, number)
    for (const row of Object.values(errorTable)) {
      const code = known.get(row.text)
      assert.ok(code !== undefined, row.text)
      if (code !== -1) assert.equal(row.code, code, row.text)
    }
  })
})

interface BindingFacts {
  readonly rpc: string
  readonly http_method: string | null
  readonly paths_now: readonly string[]
}

void describe('gateway.json', { skip: absent }, () => {
  void test('every binding', () => {
    const { bindings } = load<{ bindings: readonly BindingFacts[] }>('gateway.json')
    const theirs = bindings.flatMap(({ rpc, paths_now: paths }) =>
      paths.map((where) => [where, rpc] as const),
    )
    const ours = Array.from(gatewayMethods, ([where, method]) => [where, method.path] as const)
    assert.deepEqual(ours.sort(byKey), theirs.sort(byKey))
  })
})
