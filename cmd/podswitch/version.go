package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// version is the version of the last release. CHANGELOG.md describes it.
const version = "0.1.0"

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: "Print the version of the last release, the revision of the source, and the Go version and platform of the build.\n" +
			"\"unreleased\" means that the source differs from the release.",
		Example: "  podswitch version",
		Args:    exactly(),
		RunE:    printVersion,
	}
}

func printVersion(c *cobra.Command, _ []string) error {
	_, err := fmt.Fprintln(c.OutOrStdout(), versionText())
	return err
}

// printVersionOr returns a RunE that prints the version if --version is set, and otherwise is run. Cobra's own --version needs a
// template for another text. A template calls methods by reflection, and the linker then keeps all methods of all packages, which costs
// 6 MiB of the program and 2 MiB of memory in each process.
func printVersionOr(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		if wanted, err := c.Flags().GetBool("version"); err == nil && wanted {
			return printVersion(c, args)
		}
		return run(c, args)
	}
}

// versionText returns the line that podswitch version prints.
func versionText() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{GoVersion: runtime.Version()}
	}
	return describeBuild(info)
}

// revisionLength is the number of hexadecimal digits of a revision that are printed.
const revisionLength = 12

// describeBuild returns the version of a build. The Go command derives the version of the main module from the tag of the
// revision: only a build of the unmodified release has exactly that version.
func describeBuild(info *debug.BuildInfo) string {
	var details []string
	if info.Main.Version != "v"+version {
		details = append(details, "unreleased")
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if revision := settings["vcs.revision"]; revision != "" {
		details = append(details, "revision "+revision[:min(len(revision), revisionLength)])
	}
	if settings["vcs.modified"] == "true" {
		details = append(details, "modified")
	}
	details = append(details, info.GoVersion, runtime.GOOS+"/"+runtime.GOARCH)
	return fmt.Sprintf("podswitch %s (%s)", version, strings.Join(details, ", "))
}
