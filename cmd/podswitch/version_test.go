package main

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

// TestVersion checks that podswitch version and podswitch --version print the same line.
func TestVersion(t *testing.T) {
	var lines []string
	for _, arg := range []string{"version", "--version"} {
		stdout, stderr, code := do(t, "", arg)
		if code != exitOK || stderr != "" || !strings.HasPrefix(stdout, "podswitch "+version+" (") || !strings.HasSuffix(stdout, ")\n") {
			t.Errorf("%s: exit code %d: %s%s", arg, code, stdout, stderr)
		}
		lines = append(lines, stdout)
	}
	if lines[0] != lines[1] {
		t.Errorf("version prints %q, --version prints %q", lines[0], lines[1])
	}
}

// TestDescribeBuild checks the version of builds of the release and of other sources.
func TestDescribeBuild(t *testing.T) {
	platform := runtime.GOOS + "/" + runtime.GOARCH
	git := []debug.BuildSetting{{Key: "vcs.revision", Value: "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"}, {Key: "vcs.modified", Value: "false"}}
	modified := []debug.BuildSetting{git[0], {Key: "vcs.modified", Value: "true"}}
	for name, c := range map[string]struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		"the release":                    {"v" + version, git, "revision 1a2b3c4d5e6f, go1.26, "},
		"the release as a module":        {"v" + version, nil, "go1.26, "},
		"the release, modified":          {"v" + version + "+dirty", modified, "unreleased, revision 1a2b3c4d5e6f, modified, go1.26, "},
		"a later revision":               {"v0.1.1-0.20261130202612-1a2b3c4d5e6f", git, "unreleased, revision 1a2b3c4d5e6f, go1.26, "},
		"no version control information": {"(devel)", nil, "unreleased, go1.26, "},
		"a short revision":               {"", []debug.BuildSetting{{Key: "vcs.revision", Value: "7"}}, "unreleased, revision 7, go1.26, "},
	} {
		info := &debug.BuildInfo{GoVersion: "go1.26", Main: debug.Module{Version: c.version}, Settings: c.settings}
		if got, want := describeBuild(info), "podswitch "+version+" ("+c.want+platform+")"; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
