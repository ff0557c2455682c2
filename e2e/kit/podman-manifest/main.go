// Command podman-manifest prints a manifest of deploy as podman plays it, with the guest of the demo. Its arguments are the manifest, and
// optionally what else to print instead: "volumes", the podman commands that make the volumes, or "run NAME AS IMAGE [ARGUMENT]...", the
// one that starts a container with another name from another image.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/podswitch/podswitch/e2e/kit/manifest"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "podman-manifest:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("usage: podman-manifest FILE [volumes | run NAME AS IMAGE [ARGUMENT]...]")
	}
	pod, err := manifest.Read(args[0], manifest.Guest, manifest.Podman)
	if err != nil {
		return err
	}
	switch {
	case len(args) == 2 && args[1] == "volumes":
		for _, command := range pod.Volumes() {
			fmt.Println(strings.Join(command, " "))
		}
		return nil
	case len(args) >= 5 && args[1] == "run":
		fmt.Println(strings.Join(pod.RunCommand(args[2], args[3], args[4], args[5:]...), " "))
		return nil
	}
	text, err := pod.Text()
	fmt.Print(text)
	return err
}
