// Writes packages/api/src/generated/*.ts, one module for each package of packages/api/proto/**/*.proto.
//
//     node scripts/generate-api.mjs            writes what has changed
//     node scripts/generate-api.mjs --check    writes nothing, exits 1 when something would change
//
// protobufjs is the parser only. The code it emits is straight-line: one function that reads a message, one
// that sizes it, one that writes it, with every tag a constant. See packages/api/src/codec.ts for what a
// codec offers and packages/api/src/wire.ts for what the code is made of.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import prettier from 'prettier'
import protobuf from 'protobufjs'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const protoDir = path.join(root, 'packages/api/proto')
const outDir = path.join(root, 'packages/api/src/generated')

/** Declares options only, which the parser takes as they are: nothing is read or generated from it. */
const OPTIONS_FILE = 'etcdts/options.proto'

const WIRE_TYPE = { uint64: 0, int64: 0, uint32: 0, bool: 0, enum: 0, string: 2, bytes: 2, message: 2 }

function protoFiles() {
  return readdirSync(protoDir, { recursive: true })
    .filter((name) => name.endsWith('.proto') && name !== OPTIONS_FILE)
    .sort((a, b) => (a < b ? -1 : 1))
}

function parseAll() {
  const files = protoFiles()
  const parsed = new protobuf.Root()
  for (const file of files) {
    const source = readFileSync(path.join(protoDir, file), 'utf8')
    protobuf.parse.filename = file
    protobuf.parse(source, parsed, {
      keepCase: true,
      alternateCommentMode: true,
      preferTrailingComment: false,
    })
  }
  parsed.resolveAll()
  return parsed
}

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())
const capital = (name) => name[0].toUpperCase() + name.slice(1)
const fullName = (object) => object.fullName.slice(1)

/** The package's namespace object of a message or enum. */
function packageOf(object) {
  let parent = object.parent
  while (parent instanceof protobuf.Type) parent = parent.parent
  return parent
}

/** A nested type goes by its own name, one that is just called Type by its message's name and its own. */
function typeName(object) {
  if (object.name === 'Type') return object.parent.name + 'Type'
  return capital(object.name)
}

/** What the emitters need to know about one field. */
function describe(field) {
  const type = field.resolvedType
  const kind = type === null ? field.type : type instanceof protobuf.Enum ? 'enum' : 'message'
  if (!(kind in WIRE_TYPE)) throw new Error(`${field.fullName}: type ${field.type} is not supported`)
  const proto3 = field.parent._edition === 'proto3' || packageSyntax(field) === 'proto3'
  const written = field.options?.['(etcdts.written)']
  const oneof = field.partOf && !field.options?.proto3_optional ? field.partOf : undefined
  const map = field instanceof protobuf.MapField
  let presence
  if (field.repeated || map) presence = 'each'
  else if (oneof) presence = 'oneof'
  else if (written === 'WHEN_SET') presence = 'set'
  else if (written === 'WHEN_NOT_ZERO') presence = 'nonzero'
  else if (written === 'EMPTY_WHEN_UNSET') presence = 'emptyWhenUnset'
  else if (proto3) presence = kind === 'message' ? 'set' : 'nonzero'
  else presence = kind === 'bytes' ? 'set' : 'always'
  return {
    field,
    number: field.id,
    name: field.name,
    property: field.options?.json_name ?? camel(field.name),
    kind,
    type,
    counter: field.options?.jstype === 'JS_NUMBER',
    repeated: field.repeated,
    map,
    oneof,
    presence,
    label: map ? 'map' : field.repeated ? 'repeated' : proto3 ? 'singular' : 'optional',
    comment: field.comment,
    tag: (field.id << 3) | WIRE_TYPE[kind],
  }
}

const syntaxOf = new Map()
function packageSyntax(field) {
  return syntaxOf.get(field.filename ?? field.parent.filename)
}

class Module {
  constructor(namespace) {
    this.namespace = namespace
    this.name = fullName(namespace)
    this.imports = new Set()
    this.wire = new Set()
    this.out = []
  }

  use(...names) {
    for (const name of names) this.wire.add(name)
    return names[0]
  }

  /** How this module refers to the codec, type or table of `object`, its init type with `suffix`. */
  ref(object, suffix = '') {
    const name = typeName(object) + suffix
    const namespace = packageOf(object)
    if (namespace === this.namespace) return name
    this.imports.add(fullName(namespace))
    return `${moduleName(namespace)}.${name}`
  }

  // Calls that stay inside one module go to the plain function, which the engine inlines best.
  call(object, action) {
    const own = packageOf(object) === this.namespace
    const name = typeName(object)
    switch (action) {
      case 'new':
        return own ? `new${name}()` : `${this.ref(object)}.create()`
      case 'merge':
        return own ? `merge${name}` : `${this.ref(object)}.merge`
      case 'size':
        return own ? `sizeOf${name}` : `${this.ref(object)}.encodedSize`
      case 'write':
        return own ? `write${name}` : `${this.ref(object)}.write`
    }
    throw new Error(action)
  }

  scalarType(f) {
    switch (f.kind) {
      case 'uint64':
      case 'int64':
        return f.counter ? 'number' : 'bigint'
      case 'uint32':
        return 'number'
      case 'bool':
        return 'boolean'
      case 'string':
        return 'string'
      case 'bytes':
        return 'Uint8Array'
      default:
        return this.ref(f.type)
    }
  }

  elementType(f, init) {
    return init && f.kind === 'message' ? this.ref(f.type, 'Init') : this.scalarType(f)
  }

  zero(f) {
    switch (f.kind) {
      case 'uint64':
      case 'int64':
        return f.counter ? '0' : '0n'
      case 'uint32':
      case 'enum':
        return '0'
      case 'bool':
        return 'false'
      case 'string':
        return `''`
      case 'bytes':
        return this.use('EMPTY')
      default:
        return this.call(f.type, 'new')
    }
  }

  notZero(f, value) {
    switch (f.kind) {
      case 'bool':
        return value
      case 'bytes':
        return `${value}.length !== 0`
      default:
        return `${value} !== ${this.zero(f)}`
    }
  }

  /** Expression that reads one value at `at`; it leaves the offset behind it in `next`. */
  read(f) {
    const reader = {
      uint64: f.counter ? 'readUint' : 'readUint64',
      int64: f.counter ? 'readInt' : 'readInt64',
      uint32: 'readUint32',
      enum: 'readEnum',
      bool: 'readBool',
      string: 'readString',
      bytes: 'readBytes',
    }[f.kind]
    this.use(reader, 'next')
    const call = `${reader}(bytes, at, end)`
    return f.kind === 'enum' ? `${call} as ${this.ref(f.type)}` : call
  }

  /** Expression for the bytes that `value` takes, without its tag. */
  size(f, value) {
    switch (f.kind) {
      case 'uint64':
      case 'int64':
        return `${this.use(f.counter ? 'sizeOfVarint' : 'sizeOfVarint64')}(${value})`
      case 'uint32':
      case 'enum':
        return `${this.use('sizeOfVarint')}(${value})`
      case 'bool':
        return '1'
      case 'string':
        return `${this.use('sizeOfPayload')}(${this.use('utf8Length')}(${value}))`
      case 'bytes':
        return `${this.use('sizeOfPayload')}(${value}.length)`
      default:
        return `${this.use('sizeOfPayload')}(${this.call(f.type, 'size')}(${value}))`
    }
  }

  /** Statements that write tag and value. */
  write(f, value) {
    const tag = tagBytes(f.tag)
      .map((byte) => `out[at++] = ${byte}`)
      .join('\n')
    const writer = {
      uint64: f.counter ? 'writeVarint' : 'writeVarint64',
      int64: f.counter ? 'writeVarint' : 'writeVarint64',
      uint32: 'writeVarint',
      enum: 'writeVarint',
      string: 'writeString',
      bytes: 'writeBytes',
    }[f.kind]
    if (f.kind === 'bool') return `${tag}\nout[at++] = ${value === 'true' ? '1' : `${value} ? 1 : 0`}`
    if (f.kind === 'message') {
      this.use('writeVarint')
      return `${tag}
        at = writeVarint(out, at, ${this.call(f.type, 'size')}(${value}))
        at = ${this.call(f.type, 'write')}(${value}, out, at)`
    }
    return `${tag}\nat = ${this.use(writer)}(out, at, ${value})`
  }

  enumeration(object) {
    const name = typeName(object)
    this.out.push(`${doc(object.comment)}export const ${name} = {
      ${Object.entries(object.values)
        .map(([value, number]) => `${doc(object.comments[value])}${value}: ${number},`)
        .join('\n')}
    } as const
    ${doc(`${object.comment ?? ''}\n\nA number that no name stands for is kept as it is.`.trim())}export type ${name} = (typeof ${name})[keyof typeof ${name}]\n`)
  }

  message(object) {
    for (const nested of object.nestedArray) {
      if (nested instanceof protobuf.Enum) this.enumeration(nested)
      else if (nested instanceof protobuf.Type) this.message(nested)
    }
    const name = typeName(object)
    const fields = object.fieldsArray.map(describe).sort((a, b) => a.number - b.number)
    // What the interface lists: a oneof stands at its first member.
    const members = fields.filter((f) => !f.oneof || f.oneof.fieldsArray[0] === f.field)

    const propertyType = (f, init) => {
      if (f.oneof) {
        const cases = f.oneof.fieldsArray.map(describe)
        return cases
          .map((c) => `| { case: '${c.property}'; value: ${this.elementType(c, init)} }`)
          .concat('| undefined')
          .join('\n')
      }
      if (f.map) return `${init ? 'ReadonlyMap' : 'Map'}<string, ${this.elementType(f, init)}>`
      if (f.repeated)
        return init ? `readonly ${this.elementType(f, true)}[]` : `${this.elementType(f, false)}[]`
      const optional = f.presence === 'set' || f.presence === 'emptyWhenUnset'
      return this.elementType(f, init) + (optional ? ' | undefined' : '')
    }
    const property = (f) => (f.oneof ? camel(f.oneof.name) : f.property)
    const comment = (f) => doc(f.oneof ? (f.oneof.comment ?? undefined) : f.comment)

    this.out.push(`${doc(object.comment)}export interface ${name} {
      ${members.map((f) => `${comment(f)}${property(f)}: ${propertyType(f, false)}`).join('\n')}
    }
    /** \`${name}\` with every field optional. */
    export interface ${name}Init {
      ${members
        .map((f) => {
          const type = propertyType(f, true)
          return `${property(f)}?: ${type}${type.endsWith('| undefined') ? '' : ' | undefined'}`
        })
        .join('\n')}
    }`)

    // Defaults.
    const fresh = (f) => {
      if (f.map) return `new Map()`
      if (f.repeated) return '[]'
      if (f.presence === 'nonzero' || f.presence === 'always') return this.zero(f)
      return 'undefined'
    }
    this.out.push(`function new${name}(): ${name} {
      return { ${members.map((f) => `${property(f)}: ${fresh(f)},`).join(' ')} }
    }`)

    // create(init)
    const element = (f, value) => (f.kind === 'message' ? `${this.ref(f.type)}.create(${value})` : value)
    const created = (f) => {
      const value = `init.${property(f)}`
      if (f.oneof) {
        const cases = f.oneof.fieldsArray.map(describe)
        if (cases.every((c) => c.kind !== 'message')) return value
        return `create${name}${capital(property(f))}(${value})`
      }
      if (f.map)
        return f.kind === 'message'
          ? `new Map(Array.from(${value} ?? [], ([key, value]) => [key, ${element(f, 'value')}]))`
          : `new Map(${value})`
      if (f.repeated) {
        return f.kind === 'message'
          ? `${value}?.map((value) => ${element(f, 'value')}) ?? []`
          : `${value}?.slice() ?? []`
      }
      if (f.kind === 'message') {
        return f.presence === 'always' ? element(f, value) : `${value} && ${element(f, value)}`
      }
      return f.presence === 'set' ? value : `${value} ?? ${this.zero(f)}`
    }
    for (const f of members) {
      if (!f.oneof) continue
      const cases = f.oneof.fieldsArray.map(describe)
      if (cases.every((c) => c.kind !== 'message')) continue
      this.out
        .push(`function create${name}${capital(property(f))}(init: ${name}Init['${property(f)}']): ${name}['${property(f)}'] {
        switch (init?.case) {
          ${cases.map((c) => `case '${c.property}': return { case: '${c.property}', value: ${element(c, 'init.value')} }`).join('\n')}
          case undefined: return undefined
        }
      }`)
    }

    // merge
    const emptyForm = (f) => `empty${name}${capital(f.property)}`
    const readCase = (f) => {
      const label = `case ${f.tag}:`
      if (f.map) {
        this.use('readLength', 'next')
        return `${label} {
          const stop = readLength(bytes, at, end)
          let key = ''
          let value: ${this.scalarType(f)} | undefined
          at = next
          while (at < stop) {
            const tag = bytes[at++]!
            switch (tag) {
              case 10: key = ${this.use('readString')}(bytes, at, stop); at = next; break
              case 18: {
                const valueStop = readLength(bytes, at, stop)
                value ??= ${this.call(f.type, 'new')}
                ${this.call(f.type, 'merge')}(value, bytes, next, valueStop, depth + 2)
                at = valueStop
                break
              }
              default: at = ${this.use('skipField')}('${fullName(object)}', mapEntryNumbers, tag, bytes, at, stop)
            }
          }
          message.${f.property}.set(key, value ?? ${this.call(f.type, 'new')})
          at = stop
          break
        }`
      }
      if (f.kind === 'message') {
        this.use('readLength', 'next')
        const merge = (target) => `${this.call(f.type, 'merge')}(${target}, bytes, next, stop, depth + 1)`
        let body
        if (f.oneof) {
          body = `const value = ${this.call(f.type, 'new')}
            ${merge('value')}
            message.${property(f)} = { case: '${f.property}', value }`
        } else if (f.repeated) {
          body = `const value = ${this.call(f.type, 'new')}
            ${merge('value')}
            message.${f.property}.push(value)`
        } else if (f.presence === 'always') {
          body = merge(`message.${f.property}`)
        } else {
          body = merge(`(message.${f.property} ??= ${this.call(f.type, 'new')})`)
          if (f.presence === 'emptyWhenUnset')
            body = `if (!${this.use('sameBytes')}(bytes, next, stop, ${emptyForm(f)})) ${body}`
        }
        return `${label} {
          const stop = readLength(bytes, at, end)
          ${body}
          at = stop
          break
        }`
      }
      if (f.oneof) {
        return `${label}
          message.${property(f)} = { case: '${f.property}', value: ${this.read(f)} }
          at = next
          break`
      }
      if (!f.repeated) return `${label}\nmessage.${f.property} = ${this.read(f)}\nat = next\nbreak`
      const one = `${label}\nmessage.${f.property}.push(${this.read(f)})\nat = next\nbreak`
      if (WIRE_TYPE[f.kind] === 2) return one
      this.use('readLength')
      return `${one}
        case ${(f.number << 3) | 2}: {
          const stop = readLength(bytes, at, end)
          at = next
          while (at < stop) {
            message.${f.property}.push(${this.read(f).replace('end)', 'stop)')})
            at = next
          }
          if (at !== stop) throw ${this.use('truncated')}('${fullName(object)}')
          break
        }`
    }
    const nests = fields.some((f) => f.kind === 'message')
    this.use('skipField', 'truncated', 'readLongTag', 'next')
    if (nests) this.use('DEPTH_MAX', 'tooDeep')
    this.out
      .push(`const numbersOf${name}: ReadonlySet<number> = new Set([${fields.map((f) => f.number).join(', ')}])
    function merge${name}(message: ${name}, bytes: Uint8Array, at: number, end: number, depth: number): void {
      ${nests ? `if (depth > DEPTH_MAX) throw tooDeep('${fullName(object)}')` : ''}
      while (at < end) {
        let tag = bytes[at++]!
        if (tag >= 0x80) {
          tag = readLongTag(bytes, at - 1, end)
          at = next
        }
        switch (tag) {
          ${fields.map(readCase).join('\n')}
          default:
            at = skipField('${fullName(object)}', numbersOf${name}, tag, bytes, at, end)
        }
      }
      if (at !== end) throw truncated('${fullName(object)}')
    }`)
    // size and write
    const each = (f, forField) => {
      const value = `message.${property(f)}`
      const local = safeLocal(property(f))
      const tagSize = tagBytes(f.tag).length
      const emit = (expression) =>
        forField === 'size' ? `size += ${tagSize} + ${this.size(f, expression)}` : this.write(f, expression)
      if (f.oneof) {
        const cases = f.oneof.fieldsArray.map(describe)
        return `const ${local} = ${value}
          if (${local} !== undefined) {
            switch (${local}.case) {
              ${cases
                .map((c) => {
                  const code =
                    forField === 'size'
                      ? `size += ${tagBytes(c.tag).length} + ${this.size(c, `${local}.value`)}`
                      : this.write(c, `${local}.value`)
                  return `case '${c.property}':\n${code}\nbreak`
                })
                .join('\n')}
            }
          }`
      }
      if (f.map) {
        this.use('sizeOfPayload', 'utf8Length', 'writeVarint', 'writeString')
        const entrySize = `1 + sizeOfPayload(utf8Length(key)) + 1 + sizeOfPayload(${this.call(f.type, 'size')}(value))`
        return `if (${value} !== undefined) {
          for (const [key, value] of ${value}) {
            ${
              forField === 'size'
                ? `size += ${tagSize} + sizeOfPayload(${entrySize})`
                : `out[at++] = ${f.tag}
                  at = writeVarint(out, at, ${entrySize})
                  out[at++] = 10
                  at = writeString(out, at, key)
                  out[at++] = 18
                  at = writeVarint(out, at, ${this.call(f.type, 'size')}(value))
                  at = ${this.call(f.type, 'write')}(value, out, at)`
            }
          }
        }`
      }
      if (f.repeated) {
        const packed = f.kind === 'enum' && f.label === 'repeated' && packedByDefault(f)
        if (packed) {
          this.use('sizeOfVarint', 'writeVarint', 'sizeOfPayload')
          const sum = `let payload = 0
            for (let i = 0; i < ${local}.length; i++) payload += sizeOfVarint(${local}[i]!)`
          return `const ${local} = ${value}
            if (${local} !== undefined && ${local}.length !== 0) {
              ${sum}
              ${
                forField === 'size'
                  ? `size += ${tagSize} + sizeOfPayload(payload)`
                  : `out[at++] = ${(f.number << 3) | 2}
                     at = writeVarint(out, at, payload)
                     for (let i = 0; i < ${local}.length; i++) at = writeVarint(out, at, ${local}[i]!)`
              }
            }`
        }
        return `const ${local} = ${value}
          if (${local} !== undefined) {
            for (let i = 0; i < ${local}.length; i++) {
              ${emit(f.kind === 'message' && forField === 'write' ? 'item' : `${local}[i]!`).replace(/^/, f.kind === 'message' && forField === 'write' ? `const item = ${local}[i]!\n` : '')}
            }
          }`
      }
      switch (f.presence) {
        case 'nonzero':
          return `const ${local} = ${value}
            if (${local} !== undefined && ${this.notZero(f, local)}) {
              ${f.kind === 'bool' && forField === 'write' ? this.write(f, 'true') : emit(local)}
            }`
        case 'set':
          return `const ${local} = ${value}
            if (${local} !== undefined) {
              ${emit(local)}
            }`
        case 'always':
          if (f.kind === 'message') {
            return `const ${local} = ${value} ?? unset
            ${emit(local)}`
          }
          return forField === 'size' && f.kind === 'bool'
            ? emit('')
            : `const ${local} = ${value} ?? ${this.zero(f)}
            ${emit(local)}`
        case 'emptyWhenUnset':
          this.use('writeBytes', 'sizeOfPayload')
          return `const ${local} = ${value}
            if (${local} !== undefined) {
              ${emit(local)}
            } else {
              ${
                forField === 'size'
                  ? `size += ${tagSize} + sizeOfPayload(${emptyForm(f)}.length)`
                  : `${tagBytes(f.tag)
                      .map((byte) => `out[at++] = ${byte}`)
                      .join('\n')}
                    at = writeBytes(out, at, ${emptyForm(f)})`
              }
            }`
      }
      throw new Error(f.presence)
    }
    this.out.push(`function sizeOf${name}(${members.length === 0 ? '_' : ''}message: ${name}Init): number {
      ${members.length === 0 ? 'return 0' : `let size = 0\n${members.map((f) => each(f, 'size')).join('\n')}\nreturn size`}
    }
    function write${name}(${members.length === 0 ? '_message' : 'message'}: ${name}Init, ${members.length === 0 ? '_out' : 'out'}: Uint8Array, at: number): number {
      ${members.map((f) => each(f, 'write')).join('\n')}
      return at
    }`)

    this.use('allocate')
    const initName = members.length === 0 ? '_init' : 'init'
    this.out.push(`${doc(object.comment)}export const ${name}: Codec<${name}, ${name}Init> = {
      name: '${fullName(object)}',
      fields: [${fields.map((f) => this.metadata(f)).join(', ')}],
      create(${initName}) {
        ${
          members.length === 0
            ? `return new${name}()`
            : `if (init === undefined) return new${name}()
        return { ${members.map((f) => `${property(f)}: ${created(f)},`).join('\n')} }`
        }
      },
      decode(bytes, start = 0, end = bytes.length) {
        const message = new${name}()
        merge${name}(message, bytes, start, end, 1)
        return message
      },
      merge: merge${name},
      encode(message) {
        const bytes = allocate(sizeOf${name}(message))
        write${name}(message, bytes, 0)
        return bytes
      },
      encodedSize: sizeOf${name},
      write: write${name},
      toJson(message) {
        return toJson(${name}, message)
      },
      fromJson(value) {
        return fromJson(${name}, value)
      },
    }`)
    for (const f of fields) {
      if (f.presence === 'emptyWhenUnset')
        this.tail.push(`const ${emptyForm(f)} = ${this.ref(f.type)}.encode({})`)
    }
  }

  tail = []

  metadata(f) {
    const type = f.type === null ? f.kind : fullName(f.type)
    const parts = [
      `number: ${f.number}`,
      `name: '${f.name}'`,
      `property: '${f.property}'`,
      `type: '${type}'`,
      `kind: '${f.kind}'`,
      `label: '${f.label}'`,
    ]
    if (f.counter) parts.push('counter: true')
    if (f.oneof) parts.push(`oneof: { name: '${f.oneof.name}', property: '${camel(f.oneof.name)}' }`)
    if (f.kind === 'enum') parts.push(`values: ${this.ref(f.type)}`)
    if (f.kind === 'message') parts.push(`codec: () => ${this.ref(f.type)}`)
    return `{ ${parts.join(', ')} }`
  }

  service(object) {
    const methods = object.methodsArray.map((method) => {
      const request = method.resolvedRequestType
      const response = method.resolvedResponseType
      return `${doc(method.comment)}${method.name}: {
        path: '/${fullName(object)}/${method.name}',
        request: ${this.ref(request)},
        response: ${this.ref(response)},
        clientStreaming: ${method.requestStream === true},
        serverStreaming: ${method.responseStream === true},
      },`
    })
    this.services = true
    this.out.push(`${doc(object.comment)}export const ${object.name}Service = {
      ${methods.join('\n')}
    } as const satisfies Service\n`)
  }

  async text() {
    for (const nested of this.namespace.nestedArray) {
      if (nested instanceof protobuf.Enum) this.enumeration(nested)
    }
    for (const nested of this.namespace.nestedArray) {
      if (nested instanceof protobuf.Type) this.message(nested)
    }
    for (const nested of this.namespace.nestedArray) {
      if (nested instanceof protobuf.Service) this.service(nested)
    }
    const body = [...this.out, ...this.tail].join('\n\n')
    const unset = /\?\? unset\b/.test(body)
    const mapEntry = /\bmapEntryNumbers\b/.test(body)
    const head = [
      `// Generated by scripts/generate-api.mjs from the files of packages/api/proto/${this.name.replaceAll('.', '/')}: edit those.`,
      `import type { Codec${this.services ? ', Service' : ''} } from '../codec.ts'`,
      `import { fromJson, toJson } from '../json.ts'`,
      `import { ${sorted(this.wire).join(', ')} } from '../wire.ts'`,
      ...sorted(this.imports).map(
        (name) => `import * as ${name.replaceAll('.', '_')} from './${fileName(name)}'`,
      ),
      unset ? '\nconst unset = {}' : '',
      mapEntry ? '\nconst mapEntryNumbers: ReadonlySet<number> = new Set([1, 2])' : '',
    ]
    return format(`${head.join('\n')}\n\n${body}\n`, fileName(this.name))
  }
}

const sorted = (names) => [...names].sort((a, b) => (a < b ? -1 : 1))
const moduleName = (namespace) => fullName(namespace).replaceAll('.', '_')
const fileName = (name) => `${name.split('.').join('-')}.ts`

/** proto3 packs repeated numbers unless told otherwise, proto2 does not. */
function packedByDefault(f) {
  return packageSyntax(f.field) === 'proto3'
}

/** A local of the emitted function must not hide a parameter or a function. */
function safeLocal(property) {
  return ['message', 'out', 'at', 'size', 'delete', 'in'].includes(property) ? `${property}Value` : property
}

function tagBytes(tag) {
  const bytes = []
  while (tag >= 0x80) {
    bytes.push((tag & 0x7f) | 0x80)
    tag >>>= 7
  }
  bytes.push(tag)
  return bytes
}

function doc(comment) {
  if (!comment) return ''
  const lines = comment.split('\n')
  if (lines.length === 1) return `/** ${lines[0]} */\n`
  return `/**\n${lines.map((line) => ` * ${line}`.trimEnd()).join('\n')}\n */\n`
}

let prettierOptions
async function format(text, name) {
  prettierOptions ??= JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).prettier
  return prettier.format(text, { ...prettierOptions, parser: 'typescript', filepath: name })
}

function* packagesOf(namespace) {
  const types = namespace.nestedArray.filter(
    (nested) =>
      nested instanceof protobuf.Type ||
      nested instanceof protobuf.Enum ||
      nested instanceof protobuf.Service,
  )
  if (types.length > 0) yield namespace
  for (const nested of namespace.nestedArray) {
    if (
      nested instanceof protobuf.Namespace &&
      !(nested instanceof protobuf.Type) &&
      !(nested instanceof protobuf.Service)
    ) {
      yield* packagesOf(nested)
    }
  }
}

/** The generated modules by file name. */
export async function generate() {
  for (const file of protoFiles()) {
    const syntax = /^syntax = "(proto[23])";$/m.exec(readFileSync(path.join(protoDir, file), 'utf8'))
    syntaxOf.set(file, syntax[1])
  }
  const modules = new Map()
  for (const namespace of packagesOf(parseAll())) {
    const module = new Module(namespace)
    modules.set(fileName(module.name), await module.text())
  }
  return modules
}

async function main() {
  const check = process.argv.includes('--check')
  mkdirSync(outDir, { recursive: true })
  const modules = await generate()
  const stale = []
  for (const [name, text] of modules) {
    const file = path.join(outDir, name)
    if (existsSync(file) && readFileSync(file, 'utf8') === text) continue
    stale.push(name)
    if (!check) writeFileSync(file, text)
  }
  for (const name of readdirSync(outDir)) if (!modules.has(name)) stale.push(name)
  if (stale.length > 0) {
    process.stderr.write(`${check ? 'stale' : 'written'}: ${stale.join(', ')}\n`)
    if (check) process.exitCode = 1
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main()
