package main

import (
	"fmt"
	"io"
	"os"

	"github.com/podswitch/podswitch/model"
)

// readVM reads a VM document from a file; "-" is stdin. Without a file it returns the default VM.
func readVM(file string, stdin io.Reader) (*model.VM, error) {
	if file == "" {
		return model.Default(), nil
	}
	data, err := readFile(file, stdin)
	if err != nil {
		return nil, usageError{fmt.Errorf("read the VM document: %w", err)}
	}
	return parseVM(file, data)
}

// parseVM reads the text of a VM document. name is the name of the document in errors.
func parseVM(name string, text []byte) (*model.VM, error) {
	vm, err := model.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("VM document %s is not valid:\n%w", name, err)
	}
	return vm, nil
}

// checkInterface checks that --interface, if given, names the interface of the document.
func checkInterface(name string, vm *model.VM) error {
	if name != "" && name != vm.Interface.Name {
		return usageError{fmt.Errorf("--interface %q: the VM document has only the interface %q", name, vm.Interface.Name)}
	}
	return nil
}

// readFile reads a whole file; "-" is stdin.
func readFile(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}
