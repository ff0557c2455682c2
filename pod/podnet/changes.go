package podnet

import "fmt"

// Changes returns every change that Take would make, one sentence each, in order.
func (id *Identity) Changes() []string {
	list := []string{fmt.Sprintf("Write how %s is now to the state file, to put it back later.", id.Link.Name)}
	if len(id.Addresses) == 0 {
		return nil
	}
	list = append(list, fmt.Sprintf(
		"Drop IPv4 and ARP between %s and the pod's kernel with the nftables table \"netdev %s\", which goes when podswitch ends.",
		id.Link.Name, tableName(id.Link)))
	for _, a := range id.Addresses {
		list = append(list, fmt.Sprintf("Remove the address %v from %s.", a, id.Link.Name))
	}
	for _, r := range id.Routes {
		list = append(list, fmt.Sprintf("The kernel then drops the route %v.", r))
	}
	for _, n := range id.Neighbours {
		list = append(list, fmt.Sprintf("The kernel then forgets the neighbour %v.", n))
	}
	return list
}
