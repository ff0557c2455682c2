package main

import (
	"fmt"
	"io"
	"os"

	"github.com/podswitch/podswitch/model"
)

// readVM reads a VM document; without a file it is the default one.
func readVM(file string, stdin io.Reader) (*model.VM, error) {
	if file == "" {
		return model.Default(), nil
	}
	data, err := readFile(file, stdin)
	if err != nil {
		return nil, usageError{fmt.Errorf("VM document: %w", err)}
	}
	return parseVM(file, data)
}

// parseVM reads the text of a VM document. The name is for the error.
func parseVM(name string, text []byte) (*model.VM, error) {
	vm, err := model.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("VM document %s:\n%w", name, err)
	}
	return vm, nil
}

// checkInterface returns an error if --interface names another interface than the document's only one.
func checkInterface(name string, vm *model.VM) error {
	if name != "" && name != vm.Interface.Name {
		return usageError{fmt.Errorf("--interface %q: the VM document has the interface %q only", name, vm.Interface.Name)}
	}
	return nil
}

func readFile(file string, stdin io.Reader) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(file)
}
