// kube-vip as its own main program has it, which is not named as that of a version: the module is required instead.
package main

import "github.com/kube-vip/kube-vip/cmd"

func main() { cmd.Execute() }
