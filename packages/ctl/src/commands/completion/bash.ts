import type { Choice, Choices } from './places.ts'

/** The script for bash, which shows no descriptions. */
export function bashScript({ places, globals }: Choices): string {
  const words = (choices: readonly Choice[]): string => choices.map(({ word }) => word).join(' ')
  const paths = places.slice(1).map(({ path }) => `      '${path}') at=$step ;;`)
  const cases = places.map(({ path, commands, flags }) => {
    return `    '${path}') commands='${words(commands)}' flags='${words(flags)}' ;;`
  })
  return `# bash completion for etcdctl
_etcdctl() {
  local current=\${COMP_WORDS[COMP_CWORD]} at= step i commands= flags=
  local globals='${words(globals)}'
  for ((i = 1; i < COMP_CWORD; i++)); do
    step=\${at:+$at }\${COMP_WORDS[i]}
    case $step in
${paths.join('\n')}
    esac
  done
  case $at in
${cases.join('\n')}
  esac
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$flags $globals" -- "$current"))
  else
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  fi
}
complete -o default -F _etcdctl etcdctl
`
}
