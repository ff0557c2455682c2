// Package deploy_test checks the manifests of this folder. As root, it also starts their containers, with exactly the privileges that they
// grant.
package deploy_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// program is the path of podswitch, built as in the image.
var program string

func TestMain(m *testing.M) {
	if text := os.Getenv(containerVariable); text != "" {
		os.Exit(beContainer(text))
	}
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	dir, err := os.MkdirTemp("", "podswitch-deploy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "podswitch")
	build := exec.Command("go", "build", "-o", program, "../cmd/podswitch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build podswitch:", err)
		return 1
	}
	return m.Run()
}
