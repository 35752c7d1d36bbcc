package main

import (
	"flag"
	"fmt"
	"strings"
)

// completionVerb is a function, and not a variable, because it lists the verbs.
func completionVerb() verb {
	return verb{name: "completion", usage: "bash|zsh|fish", summary: "print a completion script for a shell",
		long: `Load it with, for example:
    source <(weir completion bash)`,
		flags: func(*flag.FlagSet) func([]string) error { return completion }}
}

func completion(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("name one shell: bash, zsh or fish")
	}
	var names []string
	for _, v := range verbs() {
		names = append(names, v.name)
	}
	switch args[0] {
	case "bash", "zsh":
		if args[0] == "zsh" {
			fmt.Println("autoload -Uz bashcompinit && bashcompinit")
		}
		fmt.Println("_weir() {\n  local cur=${COMP_WORDS[COMP_CWORD]}\n  case \"${COMP_WORDS[1]}\" in")
		for _, v := range verbs() {
			fmt.Printf("    %s) COMPREPLY=($(compgen -W %q -- \"$cur\")) ;;\n", v.name, strings.Join(flagsOf(v), " "))
		}
		fmt.Printf("  esac\n  [ \"$COMP_CWORD\" = 1 ] && COMPREPLY=($(compgen -W %q -- \"$cur\"))\n}\ncomplete -o default -F _weir weir\n", strings.Join(names, " "))
	case "fish":
		for _, v := range verbs() {
			fmt.Printf("complete -c weir -n __fish_use_subcommand -a %s -d %q\n", v.name, v.summary)
			for _, f := range flagsOf(v) {
				fmt.Printf("complete -c weir -n '__fish_seen_subcommand_from %s' -l %s\n", v.name, strings.TrimPrefix(f, "--"))
			}
		}
	default:
		return fmt.Errorf("no completion for %q: bash, zsh and fish are there", args[0])
	}
	return nil
}

// flagsOf lists a verb's flags, and the actions of verbs that have some.
func flagsOf(v verb) []string {
	words := actionsOf(v)
	fs := flag.NewFlagSet(v.name, flag.ContinueOnError)
	v.flags(fs)
	fs.VisitAll(func(f *flag.Flag) { words = append(words, "--"+f.Name) })
	return words
}

// actionsOf reads the actions from a usage such as "create|list NAME".
func actionsOf(v verb) []string {
	first, _, _ := strings.Cut(v.usage, " ")
	if !strings.Contains(first, "|") {
		return nil
	}
	return strings.Split(first, "|")
}
