package main

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"brainer/internal/command"
)

// completeCommand offers endpoints first, then the Redis commands (cobra adds ours), then nothing.
func completeCommand(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if endpoint, _ := cmd.Flags().GetString("endpoint"); endpoint == "" && os.Getenv("BRAINER_ENDPOINT") == "" {
		return endpoints(), cobra.ShellCompDirectiveNoFileComp
	}
	return commandNames(cmd.Root(), begun), cobra.ShellCompDirectiveNoFileComp
}

// endpoints are the ipc sockets where brokers and nodes usually stand: those with our lock beside them.
func endpoints() (found []string) {
	locks, _ := filepath.Glob(filepath.Join(os.TempDir(), "*.lock"))
	for _, lock := range locks {
		path := strings.TrimSuffix(lock, ".lock")
		if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeSocket {
			found = append(found, "ipc://"+path)
		}
	}
	return found
}

// commandNames are Redis's, in the case that the user began, without those that root has itself.
func commandNames(root *cobra.Command, begun string) (names []string) {
	own := map[string]bool{}
	for _, c := range root.Commands() {
		own[c.Name()] = true
	}
	for _, row := range command.NewTable().All() {
		name := strings.ToUpper(row.Name)
		if begun != "" && begun == strings.ToLower(begun) {
			name = row.Name
		}
		if strings.HasPrefix(name, begun) && !own[name] {
			names = append(names, cobra.CompletionWithDesc(name, row.Summary))
		}
	}
	return names
}
