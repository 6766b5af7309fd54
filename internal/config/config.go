// Package config is a placeholder until flags come from the environment and a file too.
package config

import "github.com/spf13/cobra"

// Bind does nothing yet.
func Bind(*cobra.Command) {}
