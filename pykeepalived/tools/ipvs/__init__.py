"""`keepalivedctl ipvs`: the kernel's table in ipvsadm's words, without ipvsadm."""
