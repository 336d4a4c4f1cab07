import { JsonNumber, type JsonValue, formatJson } from '@etcd-ts/api'
import { type JsonFields, jsonFields } from './json-fields.ts'

interface Node {
  readonly createdIndex: number
  modifiedIndex: number
  /** Empty in a directory. */
  value: string
  /** Undefined in a file. */
  readonly children: Map<string, Node> | undefined
}

const PERMANENT = '0001-01-01T00:00:00Z'
/** The part of the tree that holds the cluster's own data; everything else belongs to clients of the v2 API. */
const OWN = '0'

/**
 * The v2 store as far as membership needs it: the nodes under `/0`, with the indexes that every member counts alike.
 *
 * Each change takes the next index, which is part of what a member of another release recovers from a snapshot. What clients
 * of the v2 API have stored elsewhere in the tree is kept as it came, and written out again with the next snapshot.
 */
export class V2Tree {
  #index = 0
  #own = newDirectory(0)
  /** What is beside `/0`, by name. */
  #foreign: JsonFields = {}

  /** Names of the nodes in the directory `path` (`/members` for `/0/members`), sorted; none when there is no such directory. */
  names(path: string): string[] {
    return [...(this.#find(path)?.children?.keys() ?? [])].sort()
  }

  /** Value of the file at `path`, or undefined. */
  value(path: string): string | undefined {
    const node = this.#find(path)
    return node?.children === undefined ? node?.value : undefined
  }

  /** Puts a new file at `path`, in place of the one that is there; directories above it are made. */
  set(path: string, value: string): void {
    const index = ++this.#index
    const names = split(path)
    const name = names.pop() ?? ''
    let directory = this.#own
    for (const step of names) {
      let next = directory.children?.get(step)
      if (next === undefined) {
        next = newDirectory(index)
        directory.children?.set(step, next)
      }
      directory = next
    }
    directory.children?.set(name, {
      createdIndex: index,
      modifiedIndex: index,
      value,
      children: undefined,
    })
  }

  /** Changes the value of the file at `path`, which stays the same node. */
  update(path: string, value: string): void {
    const node = this.#find(path)
    if (node === undefined || node.children !== undefined)
      throw new Error(`there is no v2 node /${OWN}${path}`)
    node.modifiedIndex = ++this.#index
    node.value = value
  }

  /** Removes the node at `path` and everything below it. */
  remove(path: string): void {
    const names = split(path)
    const name = names.pop() ?? ''
    if (this.#find(`/${names.join('/')}`)?.children?.delete(name) !== true)
      throw new Error(`there is no v2 node /${OWN}${path}`)
    this.#index++
  }

  /** The store as JSON, in the form of etcd's snapshots. */
  format(): string {
    const children = Object.entries({ '1': emptyDirectoryJson('/1'), ...this.#foreignJson() })
    const own: [string, string] = [OWN, nodeJson(`/${OWN}`, this.#own)]
    const root = rootJson([own, ...children].sort(([a], [b]) => (a < b ? -1 : 1)))
    return `{"Root":${root},"CurrentIndex":${this.#index},"CurrentVersion":2}`
  }

  /** Takes over what `format`, or etcd, wrote. @throws Error when a node has no form */
  restore(store: JsonValue): void {
    const { Root: root, CurrentIndex: index } = jsonFields(store)
    const { [OWN]: own, ...foreign } = jsonFields(jsonFields(root)['Children'])
    this.#own = own === undefined ? newDirectory(0) : parseNode(own)
    this.#foreign = foreign
    this.#index = numberOf(index)
  }

  #foreignJson(): Record<string, string> {
    return Object.fromEntries(
      Object.entries(this.#foreign).map(([name, node]) => [name, valueJson(node ?? null)]),
    )
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#own
    for (const name of split(path)) node = node?.children?.get(name)
    return node
  }
}

function split(path: string): string[] {
  return path.split('/').filter((name) => name !== '')
}

function newDirectory(index: number): Node {
  return { createdIndex: index, modifiedIndex: index, value: '', children: new Map() }
}

function headJson(path: string, createdIndex: number, modifiedIndex: number): string {
  return `{"Path":${formatJson(path)},"CreatedIndex":${createdIndex},"ModifiedIndex":${modifiedIndex},"ExpireTime":"${PERMANENT}"`
}

function rootJson(children: readonly (readonly [string, string])[]): string {
  const members = children.map(([name, json]) => `${formatJson(name)}:${json}`)
  return `${headJson('/', 0, 0)},"Value":"","Children":{${members.join(',')}}}`
}

function emptyDirectoryJson(path: string): string {
  return nodeJson(path, newDirectory(0))
}

/** A file has `null` for children, a directory an object whose names are sorted. */
function nodeJson(path: string, node: Node): string {
  const head = headJson(path, node.createdIndex, node.modifiedIndex)
  if (node.children === undefined) return `${head},"Value":${formatJson(node.value)},"Children":null}`
  const children = [...node.children]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, child]) => `${formatJson(name)}:${nodeJson(`${path}/${name}`, child)}`)
  return `${head},"Value":"","Children":{${children.join(',')}}}`
}

/** JSON as it was read, numbers to the last digit. */
function valueJson(value: JsonValue): string {
  if (value instanceof JsonNumber) return value.text
  if (typeof value !== 'object' || value === null) return formatJson(value)
  if (Array.isArray(value)) return `[${value.map(valueJson).join(',')}]`
  const members = Object.entries(value).map(([name, member]) => `${formatJson(name)}:${valueJson(member)}`)
  return `{${members.join(',')}}`
}

function numberOf(value: JsonValue | undefined): number {
  return value instanceof JsonNumber ? Number(value.text) : 0
}

function parseNode(json: JsonValue | undefined): Node {
  const {
    Value: value,
    Children: children,
    CreatedIndex: created,
    ModifiedIndex: modified,
  } = jsonFields(json)
  const isFile = children === null || children === undefined
  return {
    createdIndex: numberOf(created),
    modifiedIndex: numberOf(modified),
    value: isFile && typeof value === 'string' ? value : '',
    children: isFile
      ? undefined
      : new Map(Object.entries(jsonFields(children)).map(([name, child]) => [name, parseNode(child)])),
  }
}
