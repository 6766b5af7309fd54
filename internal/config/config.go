// Package config lets every flag of a command come from the environment and from a file too. What
// flags there are, what they mean and whether values fit together is left to the commands.
//
// Precedence: command line, environment (BRAINER_ and the flag's name in capitals, dashes and dots as
// underscores; an empty variable counts as not set), file, default.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
)

const (
	envPrefix = "BRAINER_"
	fileFlag  = "config"
)

// Bind gives cmd, and the commands below it, the flag --config, and fills in the flags that the
// command line did not set before the command runs. Commands below it may not have a
// PersistentPreRunE of their own: cobra would call only that.
func Bind(cmd *cobra.Command) {
	file := cmd.PersistentFlags().String(fileFlag, "",
		"YAML or TOML `file` of flags by name; each can also be set as "+envPrefix+"… in the environment")
	before := cmd.PersistentPreRunE
	cmd.PersistentPreRunE = func(running *cobra.Command, args []string) error {
		if err := fill(cmd, running, file); err != nil {
			return err
		}
		if before != nil {
			return before(running, args)
		}
		return nil
	}
}

func fill(root, running *cobra.Command, file *string) error {
	flags := running.Flags()
	if err := fromEnvironment(flags); err != nil {
		return err
	}
	if *file == "" {
		return nil
	}
	return fromFile(flags, *file, names(root))
}

// EnvName is the variable of a flag.
func EnvName(flag string) string {
	return envPrefix + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(flag))
}

func fromEnvironment(flags *pflag.FlagSet) error {
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		value := os.Getenv(EnvName(f.Name))
		if f.Changed || value == "" || !settable(f.Name) && f.Name != fileFlag {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, fmt.Errorf("environment variable %s: %w", EnvName(f.Name), reason(err)))
		}
	})
	return first(errs)
}

func fromFile(flags *pflag.FlagSet, file string, known []string) error {
	v := viper.NewWithOptions(viper.KeyDelimiter("::"))
	v.SetConfigFile(file)
	switch ext := strings.TrimPrefix(filepath.Ext(file), "."); {
	case !slices.Contains([]string{"yaml", "yml", "toml"}, ext):
		return fmt.Errorf("--config %s: the name of the file ends in .yaml, .yml or .toml", file)
	default:
		if err := v.ReadInConfig(); err != nil {
			var path *fs.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			return fmt.Errorf("--config %s: %s", file, oneLine(err))
		}
	}
	keys := v.AllKeys()
	slices.Sort(keys)
	for _, key := range keys {
		name := strings.ReplaceAll(key, "::", ".") // of tables, or as TOML takes a dotted key
		if !slices.Contains(known, name) {
			return fmt.Errorf("--config %s: unknown key %q", file, name)
		}
		f := flags.Lookup(name)
		if f == nil || f.Changed {
			continue
		}
		if err := set(flags, f, v.Get(key)); err != nil {
			return fmt.Errorf("--config %s: %s: %w", file, name, reason(err))
		}
	}
	return nil
}

func set(flags *pflag.FlagSet, f *pflag.Flag, value any) error {
	list, isList := value.([]any)
	if !isList {
		return flags.Set(f.Name, fmt.Sprint(value))
	}
	slice, ok := f.Value.(pflag.SliceValue)
	if !ok {
		return errors.New("one value, not a list")
	}
	texts := make([]string, len(list))
	for i, e := range list {
		texts[i] = fmt.Sprint(e)
	}
	f.Changed = true
	return slice.Replace(texts)
}

// names are the flags of root and of all commands below it.
func names(root *cobra.Command) (all []string) {
	add := func(f *pflag.Flag) {
		if settable(f.Name) {
			all = append(all, f.Name)
		}
	}
	root.LocalFlags().VisitAll(add)
	root.PersistentFlags().VisitAll(add)
	for _, c := range root.Commands() {
		all = append(all, names(c)...)
	}
	return all
}

func settable(flag string) bool { return flag != fileFlag && flag != "help" && flag != "version" }

// reason is what pflag says, without the flag that nobody gave.
func reason(err error) error {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return fmt.Errorf("invalid value %q: %w", invalid.GetValue(), errors.Unwrap(err))
	}
	return err
}

func first(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errs[0]
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
