# For NixOS: the package, an overlay, the module services.p2prc and its test. docs/installing.md has an example.
{
  description = "p2prc: one place to run things, made of the machines a household owns";

  inputs.nixpkgs.url = "nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      forAll = nixpkgs.lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
      ];
      packagesOf = system: nixpkgs.legacyPackages.${system}.extend self.overlays.default;
    in
    {
      overlays.default = import ./nix/overlay.nix;
      packages = forAll (system: {
        default = (packagesOf system).p2prc;
      });
      nixosModules.default = {
        imports = [ ./nix/module.nix ];
        nixpkgs.overlays = [ self.overlays.default ];
      };
      checks = forAll (system: {
        package = (packagesOf system).p2prc;
        fleet = (packagesOf system).testers.runNixOSTest (import ./nix/test.nix self.nixosModules.default);
      });
    };
}
