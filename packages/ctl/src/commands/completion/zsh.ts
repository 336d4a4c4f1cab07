import type { ScriptOptions } from './completion.ts'
import type { Choice, Choices } from './places.ts'

/** The script for zsh. */
export function zshScript({ places, globals }: Choices, { descriptions }: ScriptOptions): string {
  const items = (choices: readonly Choice[]): string =>
    choices.map(({ word, about }) => quoted(descriptions ? `${word}:${about}` : word)).join(' ')
  const paths = places.slice(1).map(({ path }) => `      '${path}') at=$step ;;`)
  const cases = places.map(({ path, commands, flags }) => {
    return `    '${path}')
      commands=(${items(commands)})
      flags+=(${items(flags)})
      ;;`
  })
  return `#compdef etcdctl
_etcdctl() {
  local at= step word
  local -a commands flags
  flags=(${items(globals)})
  for word in "\${(@)words[2,CURRENT-1]}"; do
    step=\${at:+$at }$word
    case $step in
${paths.join('\n')}
    esac
  done
  case $at in
${cases.join('\n')}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    _describe flag flags
  elif (( $#commands )); then
    _describe command commands
  else
    _default
  fi
}
if [[ $funcstack[1] == _etcdctl ]]; then
  _etcdctl "$@"
else
  compdef _etcdctl etcdctl
fi
`
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}
