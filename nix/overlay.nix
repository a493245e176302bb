final: _: {
  p2prc = final.callPackage ./package.nix { };
}
